// Text of strangers as elements: every piece of it a text node, every look a class or a colour.

import { pieces } from "./ansi.js";
import { make } from "./dom.js";

const CLASSES = ["bold", "dim", "italic", "underline", "inverse", "strike"];

/** The line as nodes; where `find(text)` gives ranges, they are marked. */
export function rendered(line, find) {
  const fragment = document.createDocumentFragment();
  for (const piece of pieces(line)) {
    if (piece.escape) {
      fragment.append(make("span", "esc", piece.escape));
    } else {
      const nodes = marked(piece.text, find);
      if (piece.look) fragment.append(dressed(piece.look, nodes));
      else fragment.append(...nodes);
    }
  }
  return fragment;
}

function dressed(look, nodes) {
  const span = make("span", CLASSES.filter((name) => look[name]).join(" "), ...nodes);
  for (const [part, property] of [["fg", "color"], ["bg", "backgroundColor"]]) {
    if (typeof look[part] === "number") span.classList.add(`${part}-${look[part]}`);
    else if (look[part]) span.style[property] = look[part];
  }
  if (typeof look.bg === "string" && look.fg === undefined) span.classList.add("fg-0");
  return span;
}

function marked(text, find) {
  const nodes = [];
  let at = 0;
  for (const [start, end] of find ? find(text) : []) {
    if (start > at) nodes.push(text.slice(at, start));
    nodes.push(make("mark", "", text.slice(start, end)));
    at = end;
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

const MOST_NODES = 2000;

/** A number as it is written: the digits that a double cannot hold are not lost. */
class Written {
  constructor(text) { this.text = text; }
  toString() { return this.text; }
}

const exact = (_, value, context) =>
  (typeof value === "number" && context?.source ? new Written(context.source) : value);

/** A JSON value set out over lines, or null if the text is none (a bare number or word is none either). */
export function jsonTree(text) {
  let value;
  try {
    value = JSON.parse(text, exact);
  } catch {
    return null;
  }
  return typeof value === "object" && value !== null ? valueTree(value) : null;
}

/** A value, set out. */
export function valueTree(value) {
  const fragment = document.createDocumentFragment();
  const budget = { left: MOST_NODES };
  put(value, "", fragment, budget);
  if (budget.left <= 0) fragment.append("\n", make("span", "aside", "… the rest is left out"));
  return fragment;
}

function put(value, indent, into, budget) {
  budget.left -= 1;
  if (budget.left <= 0) return;
  if (typeof value === "string") {
    into.append(make("span", "string", "\"", rendered(value), "\""));
  } else if (typeof value !== "object" || value === null || value instanceof Written) {
    into.append(make("span", "number", String(value)));
  } else {
    const list = Array.isArray(value);
    const entries = Object.entries(value);
    into.append(list ? "[" : "{");
    for (const [place, [key, part]] of entries.entries()) {
      if (budget.left <= 0) return;
      into.append(`\n${indent}  `);
      if (!list) into.append(make("span", "key", "\"", rendered(key), "\""), ": ");
      put(part, `${indent}  `, into, budget);
      if (place < entries.length - 1) into.append(",");
    }
    into.append(entries.length ? `\n${indent}` : "", list ? "]" : "}");
  }
}
