// The workflow that a job was sent with, as its pictures hold it; of a job sent by a script, its prompt.

import type { JsonObject } from "../../model/json";
import { isObject } from "../../model/json";
import type { JobDetails } from "../../net";

export function workflowOf({ prompt, extra_data: extra }: Pick<JobDetails, "prompt" | "extra_data">): JsonObject {
  const info = isObject(extra["extra_pnginfo"]) ? extra["extra_pnginfo"] : {};
  return isObject(info["workflow"]) ? info["workflow"] : prompt;
}
