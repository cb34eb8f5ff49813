export { afterRun, stepped } from "./after_run";
export { ConvertError } from "./errors";
export { withAncestors } from "./partial";
export { toPrompt, writePrompt, type Origin, type Prompt, type PromptOptions } from "./prompt";
export { serverId } from "./scopes";
export { shownOn, withSinks, type Sinks } from "./sinks";
export { expandPrompt, fillPlaceholders, formatDate, type Random } from "./text";
