// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { describeFaults, WHOLE } from "./describe";
import { ErrorsList } from "./errors-list";
import { FAULTS } from "./samples";

afterEach(cleanup);

describe("the list of errors", () => {
  it("says that nothing is wrong", () => {
    render(<ErrorsList errors={{}} onShow={vi.fn()} />);
    expect(screen.getByRole("status").textContent).toBe("Nothing is wrong.");
  });

  it("counts the errors, and tells node, input, value and what is allowed", () => {
    render(<ErrorsList errors={describeFaults(FAULTS, new Map())} titleOf={(id) => (id === "4" ? "My model" : undefined)} onShow={vi.fn()} />);
    expect(screen.getByRole("status").textContent).toBe("3 errors");
    const [first] = screen.getAllByRole("listitem");
    const item = within(first as HTMLElement);
    expect(item.getByText("My model")).toBeTruthy();
    expect(item.getAllByRole("definition").map((fact) => fact.textContent)).toEqual([
      "ckpt_name",
      "easel-demo.safetensor",
      "easel-demo.safetensors, other.safetensors",
    ]);
  });

  it("leads to the node and the very input", () => {
    const onShow = vi.fn();
    render(<ErrorsList errors={describeFaults(FAULTS, new Map())} onShow={onShow} />);
    fireEvent.click(screen.getByRole("button", { name: "Show steps of KSampler" }));
    expect(onShow).toHaveBeenCalledWith("5:3", "steps");
  });

  it("has no way to a node for what is wrong with the whole workflow", () => {
    render(<ErrorsList errors={{ [WHOLE]: [{ message: "The queue is full." }] }} onShow={vi.fn()} />);
    expect(screen.queryByRole("button")).toBeNull();
    expect(screen.getByText("The queue is full.")).toBeTruthy();
  });
});
