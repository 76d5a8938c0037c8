const SMALLEST = 4_096;

/**
 * Bytes that arrive in chunks, up to a most. They are copied: a server that sends each byte by itself would otherwise cost a hundred times
 * the memory of its bytes, an object for each.
 */
export class GrowingBytes {
  private bytes = Buffer.alloc(0);
  private size = 0;

  constructor(private readonly most: number) {}

  /** Adds a chunk, or what there is room for. @returns whether all of it had room */
  add(chunk: Buffer): boolean {
    const size = Math.min(this.most, this.size + chunk.byteLength);
    if (size > this.bytes.byteLength) {
      const grown = Buffer.alloc(Math.min(this.most, Math.max(SMALLEST, 2 * size)));
      this.bytes.copy(grown, 0, 0, this.size);
      this.bytes = grown;
    }
    chunk.copy(this.bytes, this.size, 0, size - this.size);
    const hadRoom = this.size + chunk.byteLength <= this.most;
    this.size = size;
    return hadRoom;
  }

  /** The bytes so far. */
  taken(): Buffer {
    return this.bytes.subarray(0, this.size);
  }
}
