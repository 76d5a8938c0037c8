import type { ServerResponse } from 'node:http';

/** Calls `closed` once, when the client has the whole answer or has left. */
export function whenClosed(response: ServerResponse, closed: () => void): void {
  const { socket } = response.req;
  const done = (): void => {
    response.off('close', done);
    socket.off('close', done);
    closed();
  };
  response.on('close', done);
  // An answer that waits behind another gets no event when the connection ends.
  if (response.socket === null) {
    socket.setMaxListeners(0); // a client may send any number of requests
    socket.on('close', done);
  }
}
