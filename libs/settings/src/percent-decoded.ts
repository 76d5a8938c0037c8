/** The text that percent-encoding stands for. @param fault makes the error for a text that is not encoded */
export function percentDecoded(text: string, fault: (words: string) => Error): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw fault('has a % that begins no percent-encoding (RFC 3986, section 2.1); write a % as %25');
  }
}
