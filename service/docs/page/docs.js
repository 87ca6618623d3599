// Shows openapi.json as a page, and lets each route be tried. All text from the document goes
// through text nodes: none of it is ever read as HTML.
"use strict";

const base = new URL(".", location.href).href.replace(/\/$/, "");
const MAX_EVENTS_SHOWN = 400;
let spec;
// The caller's key: here and nowhere else, gone when the page is.
let key = "";

// --- building blocks -------------------------------------------------------------------------

function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== ""));
  return node;
}

// A sentence with `code` in it.
const prose = (text) => String(text || "").split("`").map((part, n) => (n % 2 ? h("code", {}, part) : part));

// JSON with its strings, numbers and keys in colour; anything else as it is.
function coloured(text) {
  const out = [];
  let last = 0;
  for (const found of text.matchAll(/("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\b\d[\d.eE+-]*/g)) {
    out.push(text.slice(last, found.index));
    if (found[1]) out.push(h("span", { class: found[2] ? "k" : "s" }, found[1]), found[2] || "");
    else out.push(h("span", { class: "n" }, found[0]));
    last = found.index + found[0].length;
  }
  out.push(text.slice(last));
  return out;
}

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function code(text, colour = false) {
  const pre = h("pre", { tabindex: "0" }, colour ? coloured(text) : text);
  const button = h("button", { type: "button", onclick: () => copy(pre, button) }, "Copy");
  return Object.assign(h("div", { class: "code" }, pre, button), { pre });
}

async function copy(pre, button) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = "Copied";
  } catch {
    // Clipboards are for secure pages only: select it, so that one key does the rest.
    getSelection().selectAllChildren(pre);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

const resolve = (thing) =>
  thing && thing.$ref ? resolve(thing.$ref.slice(2).split("/").reduce((at, key) => at[key], spec)) : thing;

// --- schemas ---------------------------------------------------------------------------------

const nameOf = (schema) => schema.$ref.split("/").pop();

function typeOf(schema) {
  if (schema.$ref) return nameOf(schema);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  const kinds = [].concat(schema.type || "anything").map((kind) => {
    if (kind === "array" && schema.items) return `list of ${typeOf(schema.items)}`;
    const values = schema.additionalProperties;
    if (kind === "object" && values && Object.keys(values).length) return `object of ${typeOf(values)}`;
    return kind;
  });
  return kinds.join(" or ");
}

const BOUNDS = {
  minimum: (n) => `≥ ${n}`, maximum: (n) => `≤ ${n}`,
  minLength: (n) => `${n}+ characters`, maxLength: (n) => `≤ ${n} characters`,
  minItems: (n) => `${n}+ items`, maxItems: (n) => `≤ ${n} items`,
  default: (value) => `default ${JSON.stringify(value)}`,
};

const bounds = (schema) => [schema, ...(schema.anyOf || [])].flatMap((part) =>
  Object.entries(BOUNDS).filter(([key]) => part[key] !== undefined).map(([key, words]) => words(part[key])));

// The schemas with members that a field may hold.
function held(schema) {
  if (schema.$ref) return [schema];
  return [schema.items, schema.additionalProperties, ...(schema.anyOf || [])]
    .filter((part) => part && typeof part === "object").flatMap(held);
}

function fields(schema) {
  const must = new Set(schema.required || []);
  return h("dl", { class: "fields" }, Object.entries(schema.properties || {}).map(([name, field]) => {
    // Nearly every optional field may be null as well: that says nothing to a reader.
    const type = must.has(name) ? typeOf(field) : typeOf(field).replace(/ or null$/, "");
    return h("div", {},
      h("dt", {}, h("b", {}, name), h("span", { class: "type" }, [type, ...bounds(field)].join(", ")),
        must.has(name) ? h("span", { class: "must" }, "required") : null),
      field.description ? h("dd", {}, prose(field.description)) : null,
      held(field).map(nested));
  }));
}

// Filled when it is opened: schemas may hold themselves.
function nested(reference) {
  const box = h("details", { class: "nest" }, h("summary", {}, nameOf(reference)));
  box.addEventListener("toggle", () => {
    const schema = resolve(reference);
    box.append(h("p", { class: "hint" }, prose(schema.description)), fields(schema));
  }, { once: true });
  return box;
}

const bodySchema = (schema) => (schema.$ref ? fields(resolve(schema))
  : h("div", {}, h("p", { class: "hint" }, prose(schema.description), ` (${typeOf(schema)})`), held(schema).map(nested)));

// A stream's events: what it says of them, and what their data may hold.
function eventSchema(schema) {
  const { data } = schema.anyOf.find((part) => part.properties).properties;
  const inside = (data.anyOf || [data]).map((part) => part.contentSchema).find(Boolean);
  return h("div", {}, h("p", { class: "hint" }, prose(schema.description)), held(inside).map(nested));
}

// --- keys ------------------------------------------------------------------------------------

const mustHaveKey = (operation) => operation.security.length > 0 && operation.security.every((way) => Object.keys(way).length);

// What a route asks of its caller, in a sentence; nothing for those that are open to everybody.
function keySentence({ security }) {
  if (!security.length) return null;
  const scope = Object.values(security[0])[0][0];
  return h("p", { class: "hint" }, mustHaveKey({ security }) ? "Needs a key" : "Send a key", scope ? [" with the scope ", h("code", {}, scope)] : null,
    mustHaveKey({ security }) ? "." : " where this server asks for keys.");
}

// Calls `changed` whenever another key was typed in.
const keyed = (changed) => document.addEventListener("keychange", changed);

function keyField() {
  const input = h("input", {
    type: "password", placeholder: PLACEHOLDER, autocomplete: "off", spellcheck: "false", "aria-label": "Key",
    title: "Sent with every request from this page, and forgotten with it",
  });
  input.addEventListener("input", () => { key = input.value.trim(); });
  input.addEventListener("change", () => document.dispatchEvent(new Event("keychange")));
  return input;
}

// --- one route -------------------------------------------------------------------------------

function parameters(list) {
  if (!list.length) return null;
  return [h("h3", {}, "Parameters"), h("dl", { class: "fields" }, list.map((one) => h("div", {},
    h("dt", {}, h("b", {}, one.name), h("span", { class: "type" }, `${one.in}, ${typeOf(one.schema)}`),
      one.required ? h("span", { class: "must" }, "required") : null),
    h("dd", {}, prose(one.description)))))];
}

function answer(status, found) {
  const box = h("details", { class: "more" },
    h("summary", {}, h("b", { class: `s${status[0]}` }, status), ...prose(found.description)));
  box.addEventListener("toggle", () => {
    for (const [type, body] of Object.entries(found.content || {})) {
      box.append(h("h3", {}, type));
      for (const example of Object.values(body.examples || {}).map(resolve)) {
        box.append(h("p", { class: "hint" }, example.summary), code(pretty(example.value), type.includes("json")));
      }
      box.append(type === "text/event-stream" ? eventSchema(body.schema) : bodySchema(body.schema));
    }
    const headers = Object.entries(found.headers || {});
    if (headers.length) {
      box.append(h("h3", {}, "Headers"), h("dl", { class: "fields" }, headers.map(([name, header]) =>
        h("div", {}, h("dt", {}, h("b", {}, name)), h("dd", {}, prose(resolve(header).description))))));
    }
  }, { once: true });
  return box;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const PLACEHOLDER = "psk_…";

function curl(method, url, body, headers = {}) {
  const streams = /"stream"\s*:\s*true/.test(body || "") || url.endsWith("/stream");
  const parts = [`curl ${streams ? "-N " : ""}${quoted(url)}`];
  if (method !== "get" && method !== "post") parts[0] += ` -X ${method.toUpperCase()}`;
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body != null) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  return parts.join(" \\\n    ");
}

function inputs(list, changed) {
  const made = list.filter((one) => one.in === "path" || one.in === "query").map((one) => {
    const flag = one.allowEmptyValue;
    const values = resolve(one.schema).enum;
    const input = values ? h("select", {}, ["", ...values].map((value) => h("option", {}, value)))
      : h("input", flag ? { type: "checkbox" } : { type: "text", value: one.example || "", spellcheck: "false" });
    input.addEventListener("input", changed);
    return { one, input, label: h("label", {}, flag ? [input, one.name] : [one.name, input]) };
  });
  const url = (path) => {
    let query = "";
    for (const { one, input } of made) {
      if (one.in === "path") {
        path = path.replace(`{${one.name}}`, () => encodeURIComponent(input.value).replaceAll("%2F", "/"));
      } else if (one.allowEmptyValue ? input.checked : input.value) {
        query += (query ? "&" : "?") + encodeURIComponent(one.name) + (one.allowEmptyValue ? "" : `=${encodeURIComponent(input.value)}`);
      }
    }
    return base + path + query;
  };
  return { labels: made.map(({ label }) => label), url };
}

// The media types of a whole answer, the usual one first.
function answerTypes({ responses }) {
  const [, found] = Object.entries(responses).find(([status]) => status[0] === "2");
  return Object.keys(found.content || {}).filter((type) => type !== "text/event-stream");
}

function tryIt(path, method, operation, list) {
  const body = operation.requestBody && Object.values(operation.requestBody.content)[0];
  const examples = Object.values((body && body.examples) || {});
  const shown = code("");
  shown.classList.add("wide");
  const hint = h("p", { class: "hint", role: "status" });
  const area = body && h("textarea", { spellcheck: "false", autocapitalize: "off", "aria-label": "Request body" });
  const given = inputs(list, refresh);
  const types = answerTypes(operation);
  const accept = types.length > 1 && h("select", { "aria-label": "Answer as", onchange: refresh }, types.map((type) => h("option", {}, type)));
  const out = h("div", { class: "try", "aria-live": "polite" });
  const send = h("button", { type: "button", class: "main", onclick: go }, "Send");
  const stop = h("button", { type: "button", disabled: true }, "Stop");

  function refresh() {
    const text = area ? area.value : null;
    const headers = key || mustHaveKey(operation) ? { Authorization: `Bearer ${PLACEHOLDER}` } : {};
    shown.pre.textContent = curl(method, given.url(path), text, { ...headers, ...wanted() });
    hint.textContent = "";
    try { if (area) JSON.parse(text); } catch (error) { hint.textContent = `Not JSON yet: ${error.message}`; }
  }
  const wanted = () => (accept && accept.selectedIndex ? { Accept: accept.value } : {});
  function fill(example) {
    area.value = pretty(example.value);
    area.rows = Math.min(area.value.split("\n").length + 1, 24);
    refresh();
  }
  async function go() {
    if (send.disabled) return;
    const control = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    stop.onclick = () => control.abort();
    const init = { method: method.toUpperCase(), signal: control.signal, cache: "no-store", headers: wanted() };
    if (area) {
      init.body = area.value;
      init.headers["Content-Type"] = "application/json";
    }
    await ask(given.url(path), init, out);
    send.disabled = false;
    stop.disabled = true;
  }
  if (area) {
    area.addEventListener("input", refresh);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go();
    });
    fill(examples[0] || { value: {} });
  } else refresh();
  keyed(refresh);
  const choice = examples.length > 1 && h("select", {
    "aria-label": "Example", onchange: (event) => fill(examples[event.target.selectedIndex]),
  }, examples.map((one) => h("option", {}, one.summary)));
  return h("div", { class: "try" }, h("h3", {}, "Try it"), keySentence(operation), given.labels, accept ? h("label", {}, "Answer as", accept) : null, choice ? h("div", { class: "bar" }, choice) : null,
    area || null, hint, h("div", { class: "bar" }, send, stop, area ? h("span", { class: "hint" }, "Ctrl + Enter") : null),
    out, h("h3", {}, "With curl"), shown);
}

function route(path, method, operation) {
  const list = (operation.parameters || []).map(resolve);
  const answers = Object.entries(operation.responses).map(([status, found]) => [status, resolve(found)]);
  const body = operation.requestBody && Object.values(operation.requestBody.content)[0];
  const streams = answers.some(([, found]) => (found.content || {})["text/event-stream"]);
  const box = h("details", { class: "route", id: operation.operationId },
    h("summary", {}, h("span", { class: `verb ${method}` }, method.toUpperCase()), h("span", { class: "path" }, path),
      streams ? h("span", { class: "live" }, "streams") : null,
      mustHaveKey(operation) ? h("span", { class: "live" }, "needs a key") : null, h("span", { class: "what" }, operation.summary)));
  box.addEventListener("toggle", () => {
    box.append(h("div", { class: "inside" },
      operation.description ? h("p", {}, prose(operation.description)) : null,
      h("div", {}, body ? [h("h3", {}, "Body"), bodySchema(body.schema)] : null,
        parameters(list), h("h3", {}, "Answers"), answers.map(([status, found]) => answer(status, found))),
      tryIt(path, method, operation, list)));
  }, { once: true });
  return box;
}

// --- asking the server -----------------------------------------------------------------------

// `init` with the key, if one was typed in.
const withKey = (init) => (key ? { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } } : init);

async function ask(url, init, out) {
  const began = performance.now();
  const ms = () => `${Math.round(performance.now() - began)} ms`;
  const status = h("p", { class: "status" }, "Waiting …");
  out.replaceChildren(status);
  try {
    const reply = await fetch(url, withKey(init));
    status.classList.toggle("bad", !reply.ok);
    const line = `${reply.status} ${reply.statusText}`;
    const type = reply.headers.get("content-type") || "";
    status.textContent = `${line}, ${ms()}`;
    if (type.startsWith("text/event-stream")) {
      await showStream(reply, out, (note) => { status.textContent = `${line}, ${note}, ${ms()}`; });
    } else {
      const text = await reply.text();
      status.textContent = `${line}, ${ms()}`;
      if (text) out.append(code(type.includes("json") ? tidy(text) : text.slice(0, 20000), type.includes("json")));
    }
    out.append(h("details", { class: "grows" }, h("summary", {}, "Headers"),
      h("pre", { tabindex: "0" }, [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n"))));
  } catch (error) {
    status.classList.add("bad");
    status.textContent = error.name === "AbortError" ? `Stopped after ${ms()}` : `No answer: ${error.message}`;
  }
}

function tidy(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2).slice(0, 60000); } catch { return text; }
}

// The text that one event adds, in any of the three dialects.
function textOf(data) {
  try {
    const event = JSON.parse(data);
    const choice = (event.choices || [])[0] || {};
    return event.token || (choice.delta || {}).content || choice.text || (event.delta || {}).text || "";
  } catch { return ""; }
}

async function showStream(reply, out, note) {
  const said = h("div", { class: "said busy" });
  const raw = h("pre", { tabindex: "0" });
  const title = h("summary", {}, "Events");
  out.append(said, h("details", { class: "grows" }, title, raw));
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", count = 0, last = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const events = (rest + value).split(/\r\n\r\n|\n\n|\r\r/);
      rest = events.pop();
      for (const event of events) {
        const data = event.split(/\r\n|\n|\r/).filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trimStart()).join("\n");
        count += data ? 1 : 0;
        last = data || last;
        said.append(textOf(data));
        if (count <= MAX_EVENTS_SHOWN) raw.append(`${event}\n\n`);
      }
      title.textContent = `${count} events`;
      note(`${count} events`);
    }
    const whole = last === "[DONE]" || last.includes('"message_stop"');
    note(`${count} events, ${whole ? "complete" : "broken off"}`);
  } finally {
    said.classList.remove("busy");
  }
}

// --- the page --------------------------------------------------------------------------------

// What SDKs, which all want a key, are told where none is asked for.
const unused = () => (key ? PLACEHOLDER : "unused");

const QUICK = {
  curl: (url) => curl("post", `${url}/stream`, '{"message": "Hello!"}', key ? { Authorization: `Bearer ${PLACEHOLDER}` } : {}),
  "Python, openai": (url) => `from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key="${unused()}")
for chunk in client.chat.completions.create(
    model="sim", stream=True,
    messages=[{"role": "user", "content": "Hello!"}],
):
    print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  "Python, anthropic": (url) => `from anthropic import Anthropic

client = Anthropic(base_url="${url}", api_key="${unused()}")
with client.messages.stream(
    model="sim", max_tokens=100,
    messages=[{"role": "user", "content": "Hello!"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)`,
  Node: (url) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${url}/v1", apiKey: "${unused()}" });
const stream = await client.chat.completions.create({
  model: "sim", stream: true,
  messages: [{ role: "user", content: "Hello!" }],
});
for await (const chunk of stream)
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
};

function hero() {
  const shown = code("");
  shown.classList.add("wide");
  const tabs = Object.entries(QUICK).map(([name, make]) => {
    const tab = h("button", { type: "button", role: "tab", onclick: pick }, name);
    function pick() {
      for (const other of tabs || []) other.setAttribute("aria-selected", other === tab);
      shown.pre.textContent = make(base);
    }
    return Object.assign(tab, { pick });
  });
  tabs[0].pick();
  keyed(() => tabs.find((tab) => tab.getAttribute("aria-selected") === "true").pick());
  const models = h("dd", {}, "…");
  const facts = h("dl", { class: "facts" },
    h("dt", {}, "Address"), h("dd", {}, h("code", {}, base)),
    h("dt", {}, "OpenAI"), h("dd", {}, h("code", {}, `${base}/v1`)),
    h("dt", {}, "Anthropic"), h("dd", {}, h("code", {}, base)),
    h("dt", {}, "Key"), h("dd", {}, keyField()),
    h("dt", {}, "Models"), models);
  document.getElementById("hero").append(h("div", {}, facts, greeting()),
    h("div", { class: "try" }, h("div", { class: "bar", role: "tablist" }, tabs), shown));
  listModels(models);
  keyed(() => listModels(models));
}

// One message to the default model: the quickest way to see tokens come.
function greeting() {
  const input = h("input", { type: "text", value: "Hello!", "aria-label": "Message" });
  const button = h("button", { class: "main" }, "Send");
  const out = h("div", { class: "try", "aria-live": "polite" });
  const form = h("form", { class: "bar greeting" }, input, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    const body = JSON.stringify({ message: input.value });
    await ask(`${base}/stream`, { method: "POST", headers: { "Content-Type": "application/json" }, body }, out);
    button.disabled = false;
  });
  return h("div", { class: "try" }, form, out);
}

async function listModels(place) {
  try {
    const reply = await fetch(`${base}/v1/models`, withKey({}));
    if (reply.status === 401) return place.replaceChildren("for those with a key");
    const { data } = await reply.json();
    const more = data.length > 8 ? [h("a", { href: "#listModels" }, `${data.length - 8} more`)] : [];
    place.replaceChildren(...data.slice(0, 8).map((model) => h("code", {}, model.id)), ...more);
  } catch { place.textContent = "not told"; }
}

async function readiness() {
  const chip = document.getElementById("ready");
  const ok = await fetch(`${base}/readyz`, { cache: "no-store" }).then((reply) => reply.ok, () => false);
  chip.className = `chip ${ok ? "good" : "bad"}`;
  chip.textContent = ok ? "ready" : "not ready";
}

function errorsSection() {
  const rows = Object.entries(spec.components.examples || {})
    .filter(([name]) => !name.startsWith("Anthropic"))
    .map(([name, example]) => ({ ...example, anthropic: spec.components.examples[`Anthropic${name}`] }))
    .sort((a, b) => a.value.status - b.value.status);
  return h("section", { id: "errors" }, h("h2", {}, "Errors"),
    h("p", {}, "One body for every kind of client: RFC 9457's members and OpenAI's ", h("code", {}, "error"),
      "; Anthropic's shape on its routes. In a stream that has begun, an error is its last event."),
    h("div", { class: "route flat" }, rows.map((row) => h("details", { class: "more" },
      h("summary", {}, h("b", { class: `s${String(row.value.status)[0]}` }, String(row.value.status)),
        h("code", {}, row.value.error.code || ""), ` ${row.summary}`),
      code(pretty(row.value), true), row.anthropic ? [h("h3", {}, "On /v1/messages"), code(pretty(row.anthropic.value), true)] : null))));
}

function show() {
  const groups = spec.tags.map((tag) => ({ ...tag, routes: [] }));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      groups.find((group) => group.name === operation.tags[0]).routes.push([path, method, operation]);
    }
  }
  document.title = `${spec.info.title} ${spec.info.version}`;
  document.getElementById("version").textContent = spec.info.version;
  document.getElementById("lead").replaceChildren(...prose(spec.info.description.split("\n\n")[0]));
  hero();
  document.getElementById("contents").append(...groups.map((group) => h("div", {},
    h("h3", {}, h("a", { href: `#${group.name}` }, group.name)),
    group.routes.map(([path, method, operation]) => h("a", { href: `#${operation.operationId}` },
      Object.keys(spec.paths[path]).length > 1 ? `${path} ${method.toUpperCase()}` : path)))),
    h("div", {}, h("h3", {}, h("a", { href: "#errors" }, "Errors"))));
  document.getElementById("routes").replaceChildren(...groups.map((group) => h("section", { id: group.name },
    h("h2", {}, group.name), h("p", {}, prose(group.description)), group.routes.map((one) => route(...one)))),
    errorsSection());
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.matches("details")) target.open = true;
  target.scrollIntoView();
}

async function start() {
  readiness();
  try {
    spec = await (await fetch("openapi.json")).json();
    show();
  } catch (error) {
    document.getElementById("message").textContent = `openapi.json could not be read: ${error.message}`;
    return;
  }
  openTarget();
  addEventListener("hashchange", openTarget);
}

start();
