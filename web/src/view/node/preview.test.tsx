// @vitest-environment jsdom
import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { build, TYPES } from "../../model/edit/testing";
import { settled } from "../../model/edit/settle";
import type { JsonObject } from "../../model/json";
import { TabContext } from "../../state/context";
import { createDocumentStore } from "../../state/documents";
import { createRunsStore } from "../../state/runs";
import { Preview } from "./preview";

afterEach(cleanup);

function shown(output: JsonObject): HTMLElement {
  const graph = build(["Resize"]);
  const runs = createRunsStore();
  runs.setState({ nodes: { "1": { state: "done", output } } });
  const store = createDocumentStore(graph.document, undefined, (now, change) => settled(now, change, TYPES));
  const tab = { id: "t", title: "t", unsaved: false, document: store, runs };
  return render(
    <TabContext value={tab}>
      <Preview serverId="1" />
    </TabContext>,
  ).container;
}
const file = (filename: string): JsonObject => ({ filename, subfolder: "video", type: "output" });

test.each(["a.mp4", "a.webm"])("a video (%s) plays on its node, silently and over and over", (name) => {
  const [video, ...others] = shown({ images: [file(name)], animated: [true] }).querySelectorAll("video");
  expect(others).toEqual([]);
  expect(video?.getAttribute("src")).toBe(`/api/view?filename=${name}&subfolder=video&type=output`);
  expect([video?.autoplay, video?.loop, video?.muted]).toEqual([true, true, true]);
});

test("an animated picture is a picture, which the browser moves by itself", () => {
  const container = shown({ images: [file("a.webp")], animated: [true] });
  expect(container.querySelector("video")).toBeNull();
  expect(container.querySelector("img")?.getAttribute("src")).toContain("filename=a.webp");
});
