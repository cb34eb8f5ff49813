// What would tell that a text became script or markup: dialogs, requests, other pages, elements and attributes that nobody
// of the editor makes, and everything that the content policy had to stop.

import type { Page } from "playwright-core";

export interface Canaries {
  /** What happened so far that must not. */
  faults(): Promise<readonly string[]>;
}

/** Hang them up before the page is opened. */
export async function canaries(page: Page, url: string): Promise<Canaries> {
  const seen: string[] = [];
  let opened = false;
  page.on("dialog", (dialog) => {
    if (dialog.type() !== "beforeunload") seen.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss().catch(() => undefined);
  });
  page.on("popup", (popup) => seen.push(`a window: ${popup.url()}`));
  page.on("framenavigated", (frame) => {
    if (opened || frame.parentFrame() !== null) seen.push(`a page: ${frame.url()}`);
    opened = true;
  });
  page.on("request", (request) => {
    const { host, protocol } = new URL(request.url());
    if (host !== new URL(url).host && protocol !== "data:" && protocol !== "blob:") seen.push(`a request: ${request.url()}`);
  });
  page.on("console", (message) => {
    if (/Content.Security.Policy|Refused to/i.test(message.text())) seen.push(`the console: ${message.text()}`);
  });
  await page.addInitScript(hang);
  const faults = async (): Promise<readonly string[]> => [...seen, ...(await page.evaluate(() => (window as unknown as { canaries: string[] }).canaries))];
  return { faults };
}

/** Runs in the page. */
function hang(): void {
  const found: string[] = [];
  const told = new Set<string>();
  const say = (text: string): void => {
    if (told.has(text)) return;
    told.add(text);
    found.push(text);
  };
  Object.assign(window, { canaries: found });
  for (const name of ["alert", "confirm", "prompt", "print", "open"]) Object.assign(window, { [name]: () => say(`${name} was called`) });
  document.addEventListener("securitypolicyviolation", (event) => say(`the policy stopped ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  window.addEventListener("error", (event) => event.message !== undefined && say(`an error: ${event.message}`));

  const strange = "iframe, frame, frameset, object, embed, applet, base, meta[http-equiv], form[action], style, template, portal, math, marquee, isindex";
  const address = new Set(["href", "src", "action", "formaction", "data", "xlink:href", "srcdoc", "poster", "background"]);
  const own = /^\/assets\/[\w.-]+$|^data:,?$/;
  const isFine = (value: string): boolean => /^(https?:|blob:|data:image\/(?!svg)|#|\/(?!\/)|$)/i.test(value.trim());
  const look = (element: Element): void => {
    const text = element.outerHTML.slice(0, 120);
    if (element.matches(strange)) say(`an element: ${text}`);
    if (element instanceof HTMLScriptElement && !own.test(element.getAttribute("src") ?? "")) say(`a script: ${text}`);
    if (element instanceof HTMLLinkElement && !own.test((element.getAttribute("href") ?? "").replace(location.origin, ""))) say(`a link: ${text}`);
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name)) say(`a handler: ${text}`);
      if (address.has(name) && !isFine(value) && !(element instanceof HTMLScriptElement || element instanceof HTMLLinkElement)) say(`an address: ${text}`);
      if (element instanceof HTMLAnchorElement && name === "href" && /^https?:/i.test(value) && !(element.getAttribute("rel") ?? "").includes("noopener")) say(`a way out without noopener: ${text}`);
      if (name === "style" && /url\(|expression/i.test(value)) say(`a style: ${text}`);
    }
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") look(change.target as Element);
      for (const node of change.addedNodes) {
        if (!(node instanceof Element)) continue;
        look(node);
        for (const inner of node.querySelectorAll("*")) look(inner);
      }
    }
  }).observe(document, { childList: true, subtree: true, attributes: true });
}
