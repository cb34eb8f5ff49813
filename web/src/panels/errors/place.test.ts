import { describe, expect, it } from "vitest";
import { makeSubgraph } from "../../model/edit/subgraph";
import { root, run, textToImage, TYPES } from "../../model/edit/testing";
import { levelId, ROOT } from "../../model/ids";
import { placeOf } from "./place";

const { document: plain, ids } = textToImage();
const [load = "", text = "", sample = ""] = ids as string[];

describe("where a server's id of a node points", () => {
  it("is a node of the root for a plain id", () => {
    expect(placeOf(plain, TYPES, sample)).toEqual({ path: [ROOT], node: sample, title: "Sample" });
    expect(placeOf(plain, TYPES, "999")).toBeUndefined();
  });

  it("is a node inside of a subgraph for ids joined by colons", () => {
    const inner = levelId("6c5e7f0e-0000-4000-8000-000000000001");
    const made = makeSubgraph(plain, root(plain), ids.slice(1, 3), "Sampling", inner, TYPES);
    const document = run(plain, made?.change);
    const instance = made?.node ?? "";
    const inside = [...(document.levels.get(inner)?.nodes.values() ?? [])].find((node) => node.type === "Sample")?.id ?? "";
    expect(placeOf(document, TYPES, `${instance}:${inside}`)).toEqual({ path: [ROOT, inner], node: inside, title: "Sample" });
    expect(placeOf(document, TYPES, instance)?.title).toBe("Sampling");
    expect(placeOf(document, TYPES, `${instance}:999`)?.node).toBe(instance); // what is gone stands for its instance
  });

  it("is the node that expanded into others at run time", () => {
    expect(placeOf(plain, TYPES, `${load}:0:${text}`)?.node).toBe(load);
  });
});
