// The playground: turns of a conversation, streamed from the relay with a key that is fetched when it is first needed.
import { $, $$, button, make } from "./app.js";

const DRAFT = "playground";
const NUMBERS = ["temperature", "top_p", "max_tokens"];
// For showing: the bytes of a picture tell nobody anything.
const short = (body) => JSON.parse(JSON.stringify(body, (key, value) => (key === "url" && value.startsWith("data:") ? value.replace(/,.*/, ",…") : value)));

class Talk {
  constructor(form) {
    this.form = form;
    this.words = JSON.parse(form.dataset.words);
    this.turns = $(".turns");
    this.messages = [];
    this.pictures = [];
    this.keys = new Map();
    this.restore();
    this.pictured($(".compose"));
    this.code = $("[data-code]");
    this.code.addEventListener("toggle", () => this.changed());
    form.addEventListener("submit", (e) => { e.preventDefault(); this.send(); });
    form.addEventListener("change", () => this.changed());
    form.elements.ask.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); this.send(); }
    });
    $("[data-stop]").addEventListener("click", () => this.running?.abort());
    $("[data-clear-talk]")?.addEventListener("click", () => { this.messages = []; this.draw(); this.changed(); });
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
    if (this.code.open) this.coded();
  }

  coded() {
    import("./code.js").then((m) => m.write(this.form.dataset.address, short(this.body())));
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
    $$(".turn", this.turns).forEach((t) => t.remove());
    this.messages.forEach((message, at) => this.turns.append(this.turn(message, at)));
    $("[data-blank]").hidden = this.messages.length > 0;
  }

  turn(message, at) {
    const box = make("article", "turn"), side = make("div");
    const user = message.role === "user", who = user ? this.words.you : message.model ?? "AI";
    const face = make("span", user ? "avatar" : "gram h1", who.slice(0, 1).toUpperCase() + (user ? "" : who.slice(1, 2)), { "aria-hidden": "true" });
    side.append(make("b", "strong small-text", user ? who : message.model));
    if (message.thought) {
      const thought = make("details", "thought");
      thought.open = message.open && !message.content;
      thought.append(make("summary", "", this.words.thought), make("span", "", message.thought));
      side.append(thought);
    }
    if (message.pictures?.length) side.append(this.album.list(this.words, message.pictures));
    side.append(make("div", `said${message.error ? " bad-text" : ""}`, message.error ?? message.content));
    const about = make("div", "about");
    for (const fact of message.facts ?? []) about.append(make("span", "", fact));
    if (message.receipt) about.insertAdjacentHTML("beforeend", message.receipt); // our own server's fragment
    if (!message.open) about.append(...this.acts(message, at));
    side.append(about);
    box.append(face, side);
    return box;
  }

  acts(message, at) {
    const act = (label, what, more) => button("button quiet small", label, what, more);
    const copy = act(this.words.copy, () => {}, { "data-copy": message.content });
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
  pictured(box) {
    const hear = (event, act) => box.addEventListener(event, act);
    const take = (e, files) => {
      if (!files.length) return;
      const list = [...files]; // emptied when the event is over
      e.preventDefault();
      import("./pictures.js").then((album) => { this.album = album; album.take(this, list); });
    };
    hear("change", (e) => { if (e.target.files) { take(e, e.target.files); e.target.value = ""; } });
    hear("paste", (e) => take(e, e.clipboardData.files));
    hear("dragover", (e) => { e.preventDefault(); box.classList.add("over"); });
    hear("dragleave", () => box.classList.remove("over"));
    hear("drop", (e) => { e.preventDefault(); box.classList.remove("over"); take(e, e.dataTransfer.files); });
  }

  attach(pictures) {
    this.pictures = pictures;
    this.album?.show(this);
  }

  async key() {
    const id = this.form.elements.key.value; // none is the session
    if (!this.keys.has(id)) {
      const headers = { ...JSON.parse(document.body.getAttribute("hx-headers")), "HX-Request": "true" };
      const answer = await (id ? fetch(`/token/${id}/key`, { headers }) : fetch("/playground/key", { method: "POST", headers }));
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
      if (answer.status === 401) this.keys.clear(); // it may have ended meanwhile
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
    $("[data-blank]").hidden = true;
    const near = this.turns.scrollHeight - this.turns.scrollTop - this.turns.clientHeight < 80;
    const old = $$(".turn", this.turns)[at], fresh = this.turn(message, at);
    if (old) old.replaceWith(fresh);
    else this.turns.append(fresh);
    if (near) this.turns.scrollTop = this.turns.scrollHeight;
  }

  busy(yes) {
    this.turns.setAttribute("aria-busy", yes);
    $("[data-stop]").hidden = !yes;
    $("[data-send]").hidden = yes;
  }

  raw(what, text) {
    $(`[data-raw=${what}]`).textContent = text;
  }
}

export function enhance() {
  const form = $("[data-playground]");
  if (form && !form.talk) form.talk = new Talk(form);
}
