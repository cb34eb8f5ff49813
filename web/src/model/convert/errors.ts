/** A document that cannot be sent. */
export class ConvertError extends Error {
  constructor(
    readonly code: "too-many-nodes" | "nested-too-deep" | "subgraph-in-itself" | "same-id",
    message: string,
    /** What the person can do about it. */
    readonly hint: string,
  ) {
    super(message);
    this.name = "ConvertError";
  }
}
