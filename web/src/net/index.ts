// What the rest of the page uses of the line to the server.

export { createClient } from "./client";
export type { Client, ClientOptions, FileRef, JobQuery, PreviewMethod, Submitted, SubmitOptions, UploadOptions } from "./client";
export { AnswerError, ConflictError, isAbort, isMissing, NO_FAULTS, ServerError, UnreachableError } from "./errors";
export type { Expected, Fault, Faults, NodeFaults } from "./errors";
export { readExpected, readFaults } from "./faults";
export type { Preview } from "./frames";
export { createPreviewUrls } from "./previews";
export type { PreviewUrls } from "./previews";
export { revisionOf } from "./revision";
export { eventsOf, eventsOfOwn, readFailure } from "./run-events";
export type { Failure, RunEvent } from "./run-events";
export { jobIds, randomUuid, runOf } from "./run-ids";
export { catchUp, inferDone, neededNodes, progressOf, reduceAll, reduceRun, waitingRun } from "./runs-reducer";
export type { JobRun, RunNode } from "./runs-reducer";
export { isEnded } from "./schemas";
export type { FileInfo, Job, JobDetails, JobPage, JobState, Queue, SavedFile, SystemStats, Uploaded } from "./schemas";
export { connect } from "./socket";
export type { Connection, ConnectOptions, Heard } from "./socket";
export type { UserFile, UserFiles } from "./userdata";
export { createVersionCheck } from "./version";
export type { VersionCheck } from "./version";
