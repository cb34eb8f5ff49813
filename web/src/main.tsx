import { createRoot } from "react-dom/client";
import "./theme.css";
import "./shell.css";
import { App } from "./app";
import { createClient } from "./net";
import { boot, startSettings } from "./panels/shell/boot";
import { Starting } from "./panels/shell/Starting";
import { applyLook } from "./panels/shell/useEffects";

const place = document.getElementById("app");
if (place === null) throw new Error("the page has no place for the editor");
const client = createClient();
const settings = startSettings(client);
const isLooking = applyLook(settings.getState().values, matchMedia("(prefers-color-scheme: light)").matches);
const root = createRoot(place);
const booted = boot(client, settings);
await isLooking;
root.render(<Starting />);
root.render(<App editor={await booted} />);
