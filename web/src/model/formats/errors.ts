// What is wrong with a file, and what to do. Readers raise nothing else.

import type { LevelId, NodeId } from "../ids";

export type FormatCode =
  | "empty"
  | "too-large"
  | "not-json"
  | "not-a-workflow"
  | "bad-shape"
  | "too-many-nodes"
  | "damaged"
  | "no-workflow"
  | "nothing-to-paste";

/** `code` is what translations go by, `message` is plain English for logs and for codes without a translation. */
export class FormatError extends Error {
  constructor(
    readonly code: FormatCode,
    message: string,
    /** What the person can do about it. */
    readonly hint: string,
    /** Where in the file: a path such as `$.nodes[3].id`, or the name of a part. */
    readonly where = "",
  ) {
    super(where === "" ? message : `${message} (${where})`);
    this.name = "FormatError";
  }
}

export type NoticeCode =
  | "duplicate-node-id"
  | "dangling-link"
  | "link-not-used"
  | "subgraph-in-itself"
  | "settings-not-understood";

/** Something in a file that was mended or set aside; the file is open all the same, and nothing of it is lost. */
export interface Notice {
  readonly code: NoticeCode;
  readonly message: string;
  readonly level?: LevelId;
  readonly node?: NodeId;
}
