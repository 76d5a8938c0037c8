import type { ServerResponse } from 'node:http';

/** Calls `closed` once when the client has all of an answer, or has left. */
export function whenClosed(response: ServerResponse, closed: () => void): void {
  const { socket } = response.req;
  const done = (): void => {
    response.off('close', done);
    socket.off('close', done);
    closed();
  };
  response.on('close', done);
  // An answer that waits behind another on its connection gets no event when that ends.
  if (response.socket === null) {
    socket.setMaxListeners(0); // as many may wait as the client cares to send
    socket.on('close', done);
  }
}
