// A line of the tail: what is kept of it, and how it is shown.

import { plain } from "./ansi.js";
import { bytes, make, plural } from "./dom.js";
import { jsonTree, rendered, valueTree } from "./text.js";

const HEAD_MOST = 600;
const WHO_COLOURS = 8;
let seq = 0;

/** The items of an event of the tail. */
export function itemsOf({ name, data }) {
  if (name === "skipped") {
    const text = data.lines === null ? "an unknown number of lines skipped: the connection was broken"
      : `${plural(data.lines, "line")} skipped: more came than is shown`;
    return [note(text, "skip")];
  }
  if (name !== "lines") return [];
  const items = [];
  if (data.skipped) {
    const text = `${plural(data.skipped, "line")} of ${data.container} skipped`;
    items.push(note(text, "skip", data.times_us[0], data.container));
  }
  data.lines.forEach((text, row) => {
    seq += 1;
    const level = data.levels?.[row] ?? null;
    items.push({
      seq, text, plain: plain(text), level, time: data.times_us[row], container: data.container, stream: data.stream,
      fields: data.fields?.[row] ?? null, cut: data.cut[row] ?? 0, look: level ? `level-${level}` : "",
    });
  });
  return items;
}

/** A line of the page's own. */
export function note(text, look = "note", time = Date.now() * 1000, container = null) {
  seq += 1;
  return { seq, text, plain: text, time, container, look, note: true, level: null, fields: null, cut: 0 };
}

const two = (number) => String(number).padStart(2, "0");

/** `16:26:44` and `.123`, in the reader's own time. */
function clock(time) {
  const date = new Date(time / 1000);
  return [`${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
    `.${String(date.getMilliseconds()).padStart(3, "0")}`];
}

function colourOf(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return `who-${hash % WHO_COLOURS}`;
}

/** The one row that every line has. `find` gives the ranges to mark in a text. */
export function head(item, find) {
  const [seconds, rest] = clock(item.time);
  const when = make("time", "", seconds, make("span", "ms", rest));
  const who = make("span", item.container ? `who ${colourOf(item.container)}` : "who", item.note ? "" : item.container);
  const text = make("span", "text");
  if (item.level) text.append(make("span", "unseen", `${item.level}: `));
  text.append(rendered(item.text.slice(0, HEAD_MOST), find));
  return make("div", "head", when, who, text);
}

/** A record may have several lines, where the agent joins them. */
function lines(text, find) {
  const fragment = document.createDocumentFragment();
  text.split("\n").forEach((line, place) => fragment.append(place ? "\n" : "", rendered(line, find)));
  return fragment;
}

/** All of it: JSON set out, else the whole line, wrapped; and what is known besides. */
export function detail(item, find) {
  const micros = String(item.time % 1000).padStart(3, "0");
  const about = [new Date(item.time / 1000).toISOString().replace("Z", `${micros}Z`)];
  if (item.stream) about.push(item.container, item.stream);
  if (item.level) about.push(item.level);
  if (item.cut) about.push(`cut: the line has ${bytes(item.cut)}`);
  const found = make("div", "detail", make("div", "aside", about.join(" · ")));
  found.append(jsonTree(item.plain) ?? lines(item.text, find));
  if (item.fields && !item.plain.trimStart().startsWith("{")) {
    found.append(make("div", "aside", "fields"), valueTree(item.fields));
  }
  return found;
}
