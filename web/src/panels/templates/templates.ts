// The workflows that come with Easel (workflows/ of the repository). In the build they are files of their own, fetched
// only when one is opened.

const files = import.meta.glob<string>("../../../../workflows/*.json", { query: "?url", import: "default", eager: true });

/** In the order in which they are shown; the first one opens at the first start. */
const ORDER = [
  "text_to_image", "image_to_image", "inpaint", "outpaint", "hires_fix", "batch", "batch_seeds", "animation", "prompt_dialect",
  "regions", "masked_prompts", "prompt_schedule", "prompt_mixing", "prompt_building", "demo_textual_inversion",
  "textual_inversion", "two_samplers", "custom_sampling", "split_sigmas", "guidance", "attention_guidance", "perp_neg",
  "net_patches", "inversion", "sampler_comparison", "lcm_lora", "sdxl_turbo", "sdxl_base_refiner", "sdxl_lightning",
  "sd2_v_prediction", "inpaint_model", "depth_to_image", "instruct_edit", "prompt_to_prompt", "invert_and_edit", "unclip",
  "unclip_mix", "dit_imagenet", "uvit", "pixart_alpha", "pixart_sigma", "demo_cascade", "cascade", "cascade_parts",
  "diffusers_folder", "taiyi", "vae_swap", "model_merge", "lora_extract", "demo_lora", "lora_stack", "lora_hooks",
  "hypernetwork", "demo_controlnet", "controlnet", "two_controlnets", "control_prompt", "sdxl_controlnet", "union_controlnet",
  "control_lora", "t2i_adapter", "ip_adapter", "style_model", "gligen", "control_hints", "hires_fix_upscaler", "large_pictures",
  "upscale_model", "upscale_x4", "image_to_video", "text_to_video", "prompt_travel", "video_to_video", "picture_tools", "masks",
  "compositing", "invert", "xy_grid", "guidance_sweep", "prompt_grid", "subgraphs", "named_links", "bypass_and_mute",
  "latent_files", "api_websocket",
];
export const FIRST = "text_to_image";

const nameOf = (path: string): string => path.replace(/^.*\/|\.json$/g, "");
const place = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

export const TEMPLATES: readonly string[] = Object.keys(files)
  .map(nameOf)
  .sort((left, right) => place(left) - place(right));

const pictures = import.meta.glob<string>("./pictures/*.webp", { query: "?url", import: "default", eager: true });

/** What the demo model drew with a template (scripts/thumbnails.py), if it did. */
export const pictureOf = (name: string): string | undefined => pictures[`./pictures/${name}.webp`];

export async function readTemplate(name: string): Promise<string> {
  const address = files[`../../../../workflows/${name}.json`];
  if (address === undefined) throw new Error(`there is no template ${name}`);
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.text();
}
