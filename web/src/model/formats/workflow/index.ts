export { isWorkflow, MAX_NODES, readWorkflow, type Opened } from "./read";
export { workflowJson } from "./write";
