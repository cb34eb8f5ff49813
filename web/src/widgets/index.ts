export { NodeWidgets, type NodeWidgetsProps } from "./node-widgets";
export { CompletionsContext, NO_COMPLETIONS, type Completions } from "./completions";
export { UploadContext, uploadToServer, type Upload, type UploadOptions } from "./upload";
export { readName, thumbnailUrl, viewUrl, writeName, type StoredFile } from "./pictures";
export { DEFAULT_CONTROL, randomBits } from "./seed-field";
