// A textarea of short values, one a line, becomes a field of chips with suggestions. The textarea stays what is sent.
const words = JSON.parse(document.body.dataset.words);

const make = (tag, name = "", text = null) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== null) node.textContent = text;
  return node;
};
const split = (text) => [...new Set(text.split(/[\n,;\s]+/).map((v) => v.trim()).filter(Boolean))];

export function enhance(root) {
  for (const area of root.querySelectorAll("textarea[data-chips]")) {
    const next = area.previousElementSibling;
    if (!next?.classList.contains("anchor")) build(area);
    else next.refresh?.();
  }
}

function build(area) {
  const anchor = make("div", "anchor"), box = make("div", "chips"), input = make("input"), list = make("div", "choices");
  const mapped = JSON.parse(area.dataset.mapped || "{}");
  const label = document.querySelector(`label[for="${area.id}"], label[for="${area.id}-input"]`);
  const suggestions = () => (document.getElementById(area.dataset.chips)?.textContent ?? "").split("\n").map((s) => s.trim()).filter(Boolean);
  let values = split(area.value), at = -1;
  input.setAttribute("aria-label", label?.firstChild.textContent.trim() ?? "");
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("autocomplete", "off");
  input.id = `${area.id}-input`;
  list.id = `${area.id}-choices`;
  input.setAttribute("aria-controls", list.id);
  if (area.getAttribute("aria-describedby")) input.setAttribute("aria-describedby", area.getAttribute("aria-describedby"));
  if (area.getAttribute("aria-invalid")) input.setAttribute("aria-invalid", "true");
  input.placeholder = area.dataset.placeholder ?? "";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", input.getAttribute("aria-label"));
  list.hidden = true;
  area.hidden = true;
  if (label) label.htmlFor = input.id;
  const count = make("span", "optional");
  label?.append(" ", count);
  anchor.append(box, list);
  area.before(anchor);

  const chip = (value) => {
    const node = make("span", mapped[value] ? "chip mapped" : "chip", mapped[value] ? `${value} → ${mapped[value]}` : value);
    const remove = make("button");
    remove.type = "button";
    remove.setAttribute("aria-label", `${words.remove} ${value}`);
    remove.textContent = "×";
    remove.addEventListener("click", () => { values = values.filter((v) => v !== value); write(); input.focus(); });
    node.append(remove);
    return node;
  };
  const draw = () => {
    box.replaceChildren(...values.map(chip), input);
    count.textContent = values.length ? String(values.length) : "";
  };
  const write = () => {
    area.value = values.join("\n");
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.dispatchEvent(new Event("change", { bubbles: true }));
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
      const option = make("div", "", s);
      option.id = `${list.id}-${i}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
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
  area.addEventListener("chips:read", () => { anchor.refresh(); area.dispatchEvent(new Event("input", { bubbles: true })); });
  draw();
}
