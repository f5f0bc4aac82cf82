// What fields do while they are filled: money beside quota, shown secrets, measured passwords, chips.
import { $, $$, button, make, on, words } from "./app.js";

const named = (id) => document.getElementById(id);
const told = (field, name = "input") => field.dispatchEvent(new Event(name, { bubbles: true }));

on("click", "[data-reveal]", (e, b) => {
  const field = named(b.dataset.reveal);
  field.type = field.type === "password" ? "text" : "password";
});
const worth = (field) => (field.value === "" ? "" : +(Number(field.value) / field.dataset.quota).toFixed(6));
const money = (field) => $(`[data-usd="${field.id}"]`);
on("input", "[data-quota]", (e, field) => { if (money(field)) money(field).value = worth(field); });
on("input", "[data-usd]", (e, dollars) => {
  const field = named(dollars.dataset.usd);
  field.value = dollars.value === "" ? "" : Math.round(Number(dollars.value) * field.dataset.quota);
});
on("click", "[data-preset]", (e, b) => {
  const field = named(b.dataset.preset);
  field.value = b.dataset.value;
  told(field);
});
on("click", "[data-generate]", (e, b) => {
  const field = named(b.dataset.generate);
  const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  field.value = [...crypto.getRandomValues(new Uint32Array(16))].map((n) => letters[n % letters.length]).join("");
  field.type = "text";
  told(field);
});
on("click", "[data-paste]", async (e, b) => {
  const field = named(b.dataset.paste);
  try { field.value = (await navigator.clipboard.readText()).trim(); } catch { field.focus(); }
});
on("input", "[data-measure]", (e, field) => {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^\w]/].filter((k) => k.test(field.value)).length;
  const score = Math.min(3, Math.floor(field.value.length / 6) + (kinds > 2 ? 1 : 0));
  const meter = named(field.dataset.measure);
  meter.value = field.value ? Math.max(1, score) : 0;
  meter.className = `meter thin ${["bad", "bad", "warn", "ok"][score]}`;
  meter.nextElementSibling.textContent = field.value ? [words.weak, words.weak, words.fair, words.strong][score] : "";
});
on("keyup", "input[type=password]", (e, field) => {
  const note = field.closest(".field")?.querySelector("[data-caps]");
  if (note) note.textContent = e.getModifierState?.("CapsLock") ? words.caps : "";
});
on("click", "[data-append]", (e, b) => {
  const field = named(b.dataset.append);
  field.value = [field.value.trim(), b.dataset.value].filter(Boolean).join("\n");
  told(field, "chips:read");
});
on("click", "[data-fill]", (e, b) => {
  const field = named(b.dataset.fill);
  field.value = b.dataset.value;
  told(field, "chips:read");
  told(field);
});
on("click", "[data-countdown]", (e, b) => {
  let left = Number(b.dataset.countdown);
  const before = b.textContent;
  setTimeout(() => {
    b.disabled = true;
    const timer = setInterval(() => {
      b.textContent = `${--left} s`;
      if (left > 0) return;
      clearInterval(timer);
      b.disabled = false;
      b.textContent = before;
    }, 1000);
  });
});

// A textarea of short values, one a line, becomes a field of chips with suggestions. The textarea stays what is sent.
const split = (text) => [...new Set(text.split(/[\n,;\s]+/).map((v) => v.trim()).filter(Boolean))];

function chips(area) {
  const before = area.previousElementSibling;
  if (before?.classList.contains("anchor")) return before.refresh?.();
  const mapped = JSON.parse(area.dataset.mapped || "{}"), id = `${area.id}-choices`;
  const label = $(`label[for="${area.id}"], label[for="${area.id}-input"]`), name = label?.firstChild.textContent.trim() ?? "";
  const suggestions = () => (named(area.dataset.chips)?.textContent ?? "").split("\n").map((s) => s.trim()).filter(Boolean);
  const anchor = make("div", "anchor"), box = make("div", "chips"), list = make("div", "choices", null, { id, role: "listbox", "aria-label": name });
  const input = make("input", "", null, {
    id: `${area.id}-input`, role: "combobox", autocomplete: "off", placeholder: area.dataset.placeholder ?? "",
    "aria-label": name, "aria-expanded": "false", "aria-controls": id,
  });
  for (const said of ["aria-describedby", "aria-invalid"]) if (area.hasAttribute(said)) input.setAttribute(said, area.getAttribute(said));
  let values = split(area.value), at = -1;
  list.hidden = true;
  area.hidden = true;
  if (label) label.htmlFor = input.id;
  const count = make("span", "optional");
  label?.append(" ", count);
  anchor.append(box, list);
  area.before(anchor);

  const chip = (value) => {
    const node = make("span", mapped[value] ? "chip mapped" : "chip", mapped[value] ? `${value} → ${mapped[value]}` : value);
    const gone = () => { values = values.filter((v) => v !== value); write(); input.focus(); };
    node.append(button("", "×", gone, { "aria-label": `${words.remove} ${value}` }));
    return node;
  };
  const draw = () => {
    box.replaceChildren(...values.map(chip), input);
    count.textContent = values.length ? String(values.length) : "";
  };
  const write = () => {
    area.value = values.join("\n");
    told(area);
    told(area, "change");
    draw();
  };
  const add = (text) => {
    const before = values.length;
    values = [...new Set([...values, ...split(text)])];
    input.value = "";
    close();
    if (values.length !== before) write();
    input.focus();
  };
  const close = () => { list.hidden = true; at = -1; input.setAttribute("aria-expanded", "false"); };
  const offer = () => {
    const wish = input.value.trim().toLowerCase();
    const found = suggestions().filter((s) => !values.includes(s) && s.toLowerCase().includes(wish)).slice(0, 60);
    list.replaceChildren(...found.map((s, i) => {
      const option = make("div", "", s, { id: `${id}-${i}`, role: "option", "aria-selected": "false" });
      option.addEventListener("mousedown", (e) => { e.preventDefault(); add(s); });
      return option;
    }));
    list.hidden = !found.length;
    at = -1;
    input.setAttribute("aria-expanded", String(found.length > 0));
  };
  input.addEventListener("input", (e) => {
    e.stopPropagation();
    if (/[\n,;]/.test(input.value)) add(input.value);
    else offer();
  });
  input.addEventListener("focus", offer);
  input.addEventListener("blur", () => { if (input.value.trim()) add(input.value); close(); });
  input.addEventListener("paste", (e) => {
    const text = e.clipboardData.getData("text");
    if (!/[\n,;\s]/.test(text.trim())) return;
    e.preventDefault();
    add(text);
  });
  input.addEventListener("keydown", (e) => {
    const options = [...list.children];
    if (e.key === "Enter") {
      e.preventDefault();
      if (options[at]) add(options[at].textContent);
      else if (input.value.trim()) add(input.value);
    } else if (e.key === "Backspace" && !input.value && values.length) {
      values.pop();
      write();
      input.focus();
    } else if (e.key === "Escape" && !list.hidden) {
      e.preventDefault();
      e.stopPropagation();
      close();
    } else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      options[at]?.setAttribute("aria-selected", "false");
      at = (at + (e.key === "ArrowDown" ? 1 : -1) + options.length) % Math.max(1, options.length);
      options[at]?.setAttribute("aria-selected", "true");
      options[at]?.scrollIntoView({ block: "nearest" });
      if (options[at]) input.setAttribute("aria-activedescendant", options[at].id);
    }
  });
  box.addEventListener("click", (e) => { if (e.target === box) input.focus(); });
  anchor.refresh = () => { values = split(area.value); draw(); };
  area.addEventListener("chips:read", () => { anchor.refresh(); told(area); });
  draw();
}

export function enhance() {
  for (const field of $$("[data-quota]")) if (money(field) && !money(field).value) money(field).value = worth(field);
  $$("textarea[data-chips]").forEach(chips);
}
