// What the agent is asked. The token, if it wants one, is kept for this tab only.

const KEY = "dockferry-token";

/** The agent refused: `status` and the reason it gave. */
export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

export const keepToken = (token) => sessionStorage.setItem(KEY, token);
export const forgetToken = () => sessionStorage.removeItem(KEY);

async function ask(path, { headers = {}, ...options } = {}) {
  const token = sessionStorage.getItem(KEY);
  if (token) headers = { ...headers, Authorization: `Bearer ${token}` };
  const answer = await fetch(path, { headers, cache: "no-store", ...options });
  if (!answer.ok) {
    let why = `${answer.status} ${answer.statusText}`;
    try {
      why = (await answer.json()).error ?? why;
    } catch { /* somebody between us answered */ }
    throw new Refused(answer.status, why);
  }
  return answer;
}

export async function getJson(path) {
  const answer = await ask(path, { signal: AbortSignal.timeout(8000) });
  return answer.json();
}

/** Server-sent events of `path` until `signal`: calls back with the events of each piece that arrives.
 *
 * EventSource can send no token, so the few lines of its format are read here.
 */
export async function events(path, { lastId, signal, opened, took }) {
  const headers = lastId ? { "Last-Event-ID": lastId } : {};
  const answer = await ask(path, { headers, signal });
  opened();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    const found = blocks.map(parse).filter((event) => event.data !== undefined);
    if (found.length) took(found);
  }
}

function parse(block) {
  const event = { name: "message" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).trimStart();
    if (line.startsWith("data:")) event.data = JSON.parse(value);
    else if (line.startsWith("event:")) event.name = value;
    else if (line.startsWith("id:")) event.id = value;
  }
  if (event.id) event.data ??= {}; // the first tells only where it begins
  return event;
}
