// A line of output as pieces of text with their looks. Only SGR (ECMA-48, 8.3.117) does anything; every other control
// is shown for what it is, and so are characters that hide or turn text round.

const SGR = /^\x1b\[([0-9;:]*)m/;
const SHOWN = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/;
const NAMES = { 0: "\\0", 7: "\\a", 8: "\\b", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\e" };

/** `\e`, `\0`, `\u202e`: how a character that cannot be seen is shown. */
export function escaped(character) {
  const code = character.codePointAt(0);
  if (code in NAMES) return NAMES[code];
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Pieces `{text, look}`, and `{escape}` for what is not text. `look` is shared between pieces of one look. */
export function pieces(line) {
  const found = [];
  let look = null;
  let start = 0;
  let at = 0;
  const flush = () => {
    if (at > start) found.push({ text: line.slice(start, at), look });
  };
  while (at < line.length) {
    const offset = line.slice(at).search(SHOWN);
    if (offset < 0) break;
    at += offset;
    const sgr = line[at] === "\x1b" ? SGR.exec(line.slice(at, at + 64)) : null;
    flush();
    if (sgr) {
      look = changed(look, sgr[1]);
      at += sgr[0].length;
    } else {
      found.push({ escape: escaped(line[at]) });
      at += 1;
    }
    start = at;
  }
  at = line.length;
  flush();
  return found;
}

/** The line without its colours, for the filter. */
export const plain = (line) => (line.includes("\x1b") ? line.replace(/\x1b\[[0-9;:]*m/g, "") : line);

function changed(look, parameters) {
  const numbers = parameters.split(/[;:]/).map((text) => (text === "" ? 0 : Number(text)));
  let next = { ...look };
  for (let at = 0; at < numbers.length; at += 1) {
    const number = numbers[at];
    if (number === 38 || number === 48) {
      const [colour, used] = extended(numbers.slice(at + 1));
      next[number === 38 ? "fg" : "bg"] = colour;
      at += used;
    } else {
      next = applied(next, number);
    }
  }
  return Object.keys(next).length ? next : null;
}

const SWITCHES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const OFF = {
  22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"], 39: ["fg"], 49: ["bg"],
};

function applied(look, number) {
  if (number === 0) return {};
  if (number in SWITCHES) return { ...look, [SWITCHES[number]]: true };
  if (number in OFF) {
    const next = { ...look };
    for (const name of OFF[number]) delete next[name];
    return next;
  }
  if (number >= 30 && number <= 37) return { ...look, fg: number - 30 };
  if (number >= 40 && number <= 47) return { ...look, bg: number - 40 };
  if (number >= 90 && number <= 97) return { ...look, fg: number - 90 };
  if (number >= 100 && number <= 107) return { ...look, bg: number - 100 };
  return look;
}

/** A colour of the 256 or the 16 million: a number 0–7, or `rgb(…)`; and how many parameters it took. */
function extended([kind, ...rest]) {
  if (kind === 5) return [indexed(byte(rest[0])), 2];
  if (kind === 2) return [`rgb(${byte(rest[0])} ${byte(rest[1])} ${byte(rest[2])})`, 4];
  return [undefined, 1];
}

const byte = (number) => Math.min(255, Math.max(0, number | 0));

function indexed(number) {
  if (number < 16) return number % 8;
  if (number >= 232) {
    const grey = 8 + (number - 232) * 10;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const level = (part) => (part ? 55 + part * 40 : 0);
  const cube = number - 16;
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}
