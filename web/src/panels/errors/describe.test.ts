import { describe as group, expect, it } from "vitest";
import type { Fault } from "../../net";
import { ServerError, UnreachableError } from "../../net";
import { abridged, describeFailure, describeFault, describeFaults, describeRefusal, merged, nearest, WHOLE } from "./describe";
import { FAULTS } from "./samples";

const fault = (change: Partial<Fault>): Fault => ({ type: "", message: "it said so", details: "", ...change });

group("an error of an input", () => {
  it("says node, input, value, what is allowed, and the choice that was probably meant", () => {
    const [error] = describeFaults(FAULTS, new Map())["4"] ?? [];
    expect(error?.message).toBe("ckpt_name of CheckpointLoaderSimple has no choice “easel-demo.safetensor”. Did you mean “easel-demo.safetensors”?");
    expect(error).toMatchObject({ input: "ckpt_name", value: "easel-demo.safetensor", allowed: ["easel-demo.safetensors", "other.safetensors"] });
  });

  it("does not guess a second time what the server has guessed", () => {
    const [known] = FAULTS["4"]?.faults ?? [];
    const error = describeFault(fault({ ...known, hint: "Did you mean easel-demo.safetensors?" }), "Loader", undefined);
    expect(error.message.match(/Did you mean/g)).toHaveLength(1);
    expect(error.details).toBeUndefined();
  });

  it("says the end of the range that a number passes", () => {
    const [error] = describeFaults(FAULTS, new Map())["5:3"] ?? [];
    expect(error?.message).toBe("steps of KSampler is 20000, but 10000 is the largest value.");
    expect(error?.allowed).toEqual(["1 to 10000"]);
  });

  it("keeps what the server said where the kind of error is new", () => {
    const error = describeFault(fault({ type: "unheard_of", details: "more of it" }), "KSampler", undefined);
    expect(error.message).toBe("KSampler: it said so");
    expect(error.details).toBe("more of it");
  });

  it("says a hint once, and no details that the sentence holds already", () => {
    const error = describeFault(fault({ type: "required_input_missing", input: "model", details: "model", hint: "Add a loader." }), "KSampler", undefined);
    expect(error.message).toBe("KSampler needs model: link something to it or give it a value. Add a loader.");
    expect(error.details).toBeUndefined();
  });
});

group("a refusal", () => {
  it("is shown at its nodes if it names some", () => {
    const error = new ServerError(400, "prompt_outputs_failed_validation", "no", {}, FAULTS);
    expect(Object.keys(describeRefusal(error, new Map())).sort()).toEqual(["4", "5:3"]);
  });

  it("is shown at the node that its details name, else at the workflow", () => {
    const missing = new ServerError(400, "missing_node_type", "Node 'X' not found", { details: "Node ID '#12'" });
    expect(Object.keys(describeRefusal(missing, new Map()))).toEqual(["12"]);
    expect(describeRefusal(new ServerError(429, "queue_full", "The queue is full."), new Map())[WHOLE]?.[0]?.message).toBe("The queue is full.");
  });

  it("says that nothing is lost when the server is away", () => {
    expect(describeRefusal(new UnreachableError("x"), new Map())[WHOLE]?.[0]?.message).toContain("nothing is lost");
  });
});

group("a failure while it ran", () => {
  it("tells what the node was given, and what to do when memory ran out", () => {
    const failure = { message: "CUDA out of memory", exception: "torch.OutOfMemoryError", inputs: { width: 8192 } };
    expect(describeFailure(failure)).toMatchObject({ details: "width = 8192" });
    expect(describeFailure(failure).message).toContain("smaller pictures");
  });
});

group("helpers", () => {
  it("guess only what is near", () => {
    expect(nearest("eular", ["euler", "heun", "dpmpp_2m"])).toBe("euler");
    expect(nearest("something else", ["euler", "heun"])).toBeUndefined();
  });

  it("show a long list in part, and say how much more there is", () => {
    const { shown, more } = abridged(Array.from({ length: 5000 }, (_, at) => `model ${at}`));
    expect(shown).toHaveLength(12);
    expect(more).toBe(4988);
  });

  it("put the errors of one node from several sources together", () => {
    const note = { level: "note", message: "n" } as const;
    const error = { level: "error", message: "e" } as const;
    expect(merged({ "1": [error] }, { "1": [note], "2": [note] })).toEqual({ "1": [error, note], "2": [note] });
  });
});
