// The playground: turns of a conversation, streamed from the relay with a key that is fetched when it is first needed.
const DRAFT = "playground";
const NUMBERS = ["temperature", "top_p", "max_tokens"];
const PICTURES = 8, BIGGEST = 8 << 20; // how many at a time, and bytes of each
const CODE = {
  curl: (address, body) => `curl ${address}/v1/chat/completions \\\n  -H "Authorization: Bearer $ONE_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`,
  Python: (address, body) => `from openai import OpenAI\n\nclient = OpenAI(base_url="${address}/v1", api_key=ONE_API_KEY)\nanswer = client.chat.completions.create(\n${Object.entries(body).map(([k, v]) => `    ${k}=${python(v)},`).join("\n")}\n)`,
  Node: (address, body) => `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${address}/v1", apiKey: process.env.ONE_API_KEY });\nconst answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)});`,
};
const python = (value) => (value === true ? "True" : value === false ? "False" : value === null ? "None" : JSON.stringify(value));

const node = (tag, name = "", text = "") => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
};

const read = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result);
  reader.onerror = failed;
  reader.readAsDataURL(file);
});
// For showing: the bytes of a picture tell nobody anything.
const short = (body) => JSON.parse(JSON.stringify(body, (key, value) => (key === "url" && value.startsWith("data:") ? value.replace(/,.*/, ",…") : value)));

class Talk {
  constructor(form) {
    this.form = form;
    this.words = JSON.parse(form.dataset.words);
    this.turns = form.querySelector(".turns");
    this.messages = [];
    this.pictures = [];
    this.keys = new Map();
    this.restore();
    this.attaching(form.querySelector(".compose"));
    form.addEventListener("submit", (e) => { e.preventDefault(); this.send(); });
    form.addEventListener("change", () => this.changed());
    form.elements.ask.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); this.send(); }
    });
    form.querySelector("[data-stop]").addEventListener("click", () => this.running?.abort());
    document.querySelector("[data-clear-talk]")?.addEventListener("click", () => { this.messages = []; this.draw(); this.changed(); });
    this.changed();
  }

  restore() {
    let kept = {};
    try { kept = JSON.parse(sessionStorage.getItem(DRAFT)) ?? {}; } catch { /* nothing usable was kept */ }
    this.messages = kept.messages ?? [];
    for (const [name, value] of Object.entries(kept.values ?? {})) {
      const field = this.form.elements[name];
      if (!field || (name === "model" && new URL(location).searchParams.has("model"))) continue;
      if (field.type === "checkbox") field.checked = value;
      else if (field.tagName !== "SELECT" || [...field.options].some((o) => o.value === value)) field.value = value;
    }
    this.draw();
  }

  changed() {
    const values = {};
    for (const name of ["model", "key", "system", ...NUMBERS]) values[name] = this.form.elements[name].value;
    values.stream = this.form.elements.stream.checked;
    const light = this.messages.map(({ pictures, ...message }) => message); // pictures would soon fill the tab's store
    try { sessionStorage.setItem(DRAFT, JSON.stringify({ messages: light, values })); } catch { /* full: the draft is lost */ }
    const body = short(this.body());
    for (const [name, write] of Object.entries(CODE)) document.getElementById(`code-${name}`).textContent = write(this.form.dataset.address, body);
  }

  body() {
    const { model, system, stream } = this.form.elements;
    const said = this.messages.map(({ role, content, pictures }) => ({
      role,
      content: pictures?.length ? [...(content ? [{ type: "text", text: content }] : []), ...pictures.map((url) => ({ type: "image_url", image_url: { url } }))] : content,
    }));
    if (system.value.trim()) said.unshift({ role: "system", content: system.value });
    const body = { model: model.value, messages: said.length ? said : [{ role: "user", content: "Hello" }], stream: stream.checked };
    if (stream.checked) body.stream_options = { include_usage: true };
    for (const name of NUMBERS) if (this.form.elements[name].value !== "") body[name] = Number(this.form.elements[name].value);
    return body;
  }

  draw() {
    this.turns.querySelectorAll(".turn").forEach((t) => t.remove());
    this.messages.forEach((message, at) => this.turns.append(this.turn(message, at)));
    this.turns.querySelector("[data-blank]").hidden = this.messages.length > 0;
  }

  turn(message, at) {
    const box = node("article", "turn"), side = node("div");
    const face = node("span", message.role === "user" ? "avatar" : "gram h1", message.role === "user" ? this.words.you.slice(0, 1) : (message.model ?? "AI").slice(0, 1).toUpperCase() + (message.model ?? "AI").slice(1, 2));
    face.setAttribute("aria-hidden", "true");
    const name = node("b", "strong small-text", message.role === "user" ? this.words.you : message.model);
    side.append(name);
    if (message.thought) {
      const thought = node("details", "thought");
      thought.open = message.open && !message.content;
      thought.append(node("summary", "", this.words.thought), node("span", "", message.thought));
      side.append(thought);
    }
    if (message.pictures?.length) side.append(this.shown(message.pictures));
    side.append(node("div", `said${message.error ? " bad-text" : ""}`, message.error ?? message.content));
    const about = node("div", "about");
    for (const fact of message.facts ?? []) about.append(node("span", "", fact));
    if (message.receipt) about.insertAdjacentHTML("beforeend", message.receipt); // our own server's fragment
    if (!message.open) about.append(...this.acts(message, at));
    side.append(about);
    box.append(face, side);
    return box;
  }

  acts(message, at) {
    const act = (label, what) => {
      const button = node("button", "button quiet small", label);
      button.type = "button";
      button.addEventListener("click", what);
      return button;
    };
    const copy = act(this.words.copy, () => {});
    copy.dataset.copy = message.content;
    if (message.role !== "user") return [copy, act(this.words.again, () => this.answer(at))];
    return [copy, act(this.words.edit, () => {
      this.form.elements.ask.value = message.content;
      this.attach(message.pictures ?? []);
      this.messages.length = at;
      this.draw();
      this.form.elements.ask.focus();
    })];
  }

  // Pictures: chosen, pasted or dropped; they travel inside the message.
  attaching(box) {
    const take = async (files) => {
      const found = [...files].filter((file) => file.type.startsWith("image/"));
      const fit = found.filter((file) => file.size <= BIGGEST).slice(0, PICTURES - this.pictures.length);
      if (fit.length < found.length) dispatchEvent(new CustomEvent("toast", { detail: { kind: "bad", text: this.words.toobig } }));
      this.attach([...this.pictures, ...(await Promise.all(fit.map(read)))]);
    };
    box.querySelector("[data-attach]").addEventListener("change", (e) => { take(e.target.files); e.target.value = ""; });
    box.addEventListener("paste", (e) => { if (e.clipboardData.files.length) { e.preventDefault(); take(e.clipboardData.files); } });
    box.addEventListener("dragover", (e) => { e.preventDefault(); box.classList.add("over"); });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", (e) => { e.preventDefault(); box.classList.remove("over"); take(e.dataTransfer.files); });
  }

  attach(pictures) {
    this.pictures = pictures;
    const list = this.form.querySelector("[data-pictures]");
    list.replaceChildren(...this.shown(pictures, (at) => this.attach(pictures.filter((_p, i) => i !== at))).children);
    list.hidden = !pictures.length;
  }

  shown(pictures, remove = null) {
    const list = node("ul", "pictures");
    pictures.forEach((url, at) => {
      const item = node("li"), picture = node("img"), name = this.words.picture.replace("{n}", at + 1);
      picture.src = url;
      picture.alt = name;
      item.append(picture);
      if (remove) {
        const button = node("button", "", "×");
        button.type = "button";
        button.setAttribute("aria-label", `${this.words.remove} ${name}`);
        button.addEventListener("click", () => remove(at));
        item.append(button);
      }
      list.append(item);
    });
    return list;
  }

  async key() {
    const id = this.form.elements.key.value;
    if (!id) throw new Error(this.words.nokey);
    if (!this.keys.has(id)) {
      const answer = await fetch(`/token/${id}/key`, { headers: { "HX-Request": "true" } });
      if (!answer.ok) throw new Error(`${this.words.offline} (${answer.status})`);
      this.keys.set(id, (await answer.text()).trim());
    }
    return this.keys.get(id);
  }

  send() {
    const ask = this.form.elements.ask, text = ask.value.trim();
    if (!(text || this.pictures.length) || this.running) return;
    this.messages.push({ role: "user", content: text, pictures: this.pictures });
    ask.value = "";
    this.attach([]);
    this.answer(this.messages.length);
  }

  async answer(at) {
    if (this.running) return;
    this.messages.length = at;
    const body = this.body(), message = { role: "assistant", model: body.model, content: "", thought: "", open: true };
    this.draw();
    this.messages.push(message);
    this.running = new AbortController();
    this.busy(true);
    const began = performance.now();
    this.show(message, at);
    this.raw("request", JSON.stringify(short(body), null, 2));
    try {
      const answer = await fetch("/v1/chat/completions", {
        method: "POST", signal: this.running.signal, body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${await this.key()}` },
      });
      message.id = answer.headers.get("X-Oneapi-Request-Id");
      if (!answer.ok) message.error = await this.failure(answer);
      else if (body.stream) await this.read(answer, message, at, began);
      else this.take(message, await answer.json());
    } catch (error) {
      if (error.name === "AbortError") message.facts = [this.words.stopped];
      else message.error = error instanceof TypeError ? this.words.offline : error.message;
    }
    this.measure(message, performance.now() - began);
    message.open = false;
    this.running = null;
    this.busy(false);
    if (message.id && !message.error) await this.receipt(message);
    this.show(message, at);
    this.changed();
    this.form.elements.ask.focus();
  }

  async failure(answer) {
    const text = await answer.text();
    this.raw("answer", text);
    try { return `${JSON.parse(text).error.message} (${answer.status})`; } catch { return `${text.slice(0, 300)} (${answer.status})`; }
  }

  take(message, answer) {
    this.raw("answer", JSON.stringify(answer, null, 2));
    const said = answer.choices?.[0]?.message ?? {};
    message.content = said.content ?? "";
    message.thought = said.reasoning_content ?? "";
    message.tokens = answer.usage?.completion_tokens;
  }

  async read(answer, message, at, began) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", raw = "", ended = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      raw = (raw + value).slice(-20000);
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") { ended = true; continue; }
        this.piece(message, JSON.parse(data), began);
      }
      this.show(message, at);
    }
    this.raw("answer", raw);
    if (!ended && !message.error) message.error = `${message.content}\n${this.words.broken}`;
  }

  piece(message, chunk, began) {
    if (chunk.error) message.error = `${message.content}\n${chunk.error.message}`.trim();
    const delta = chunk.choices?.[0]?.delta ?? {};
    if ((delta.content || delta.reasoning_content) && message.firstAfter === undefined) message.firstAfter = performance.now() - began;
    message.thought += delta.reasoning_content ?? "";
    message.content += delta.content ?? "";
    message.tokens = chunk.usage?.completion_tokens ?? message.tokens;
  }

  measure(message, all) {
    const time = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);
    const facts = message.facts ?? [];
    if (message.firstAfter !== undefined) facts.push(this.words.first.replace("{n}", time(message.firstAfter)));
    facts.push(this.words.whole.replace("{n}", time(all)));
    const wrote = all - (message.firstAfter ?? 0);
    if (message.tokens > 1 && wrote > 50) facts.push(this.words.speed.replace("{n}", Math.round((1000 * message.tokens) / wrote)));
    message.facts = facts;
  }

  async receipt(message) {
    for (const wait of [0, 700]) {
      await new Promise((go) => setTimeout(go, wait));
      const answer = await fetch(`/playground/receipt/${encodeURIComponent(message.id)}`);
      if (answer.ok) { message.receipt = await answer.text(); return; }
    }
  }

  show(message, at) {
    this.turns.querySelector("[data-blank]").hidden = true;
    const near = this.turns.scrollHeight - this.turns.scrollTop - this.turns.clientHeight < 80;
    const old = this.turns.querySelectorAll(".turn")[at], fresh = this.turn(message, at);
    if (old) old.replaceWith(fresh);
    else this.turns.append(fresh);
    if (near) this.turns.scrollTop = this.turns.scrollHeight;
  }

  busy(yes) {
    this.turns.setAttribute("aria-busy", yes);
    this.form.querySelector("[data-stop]").hidden = !yes;
    this.form.querySelector("[data-send]").hidden = yes;
  }

  raw(what, text) {
    this.form.querySelector(`[data-raw=${what}]`).textContent = text;
  }
}

export function enhance(root) {
  const form = root.querySelector("[data-playground]");
  if (form && !form.talk) form.talk = new Talk(form);
}
