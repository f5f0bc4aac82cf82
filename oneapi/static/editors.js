// The form of a channel: a provider that is searched for, sections that follow the scroll.
import { $, $$, button, make, on } from "./app.js";

// A long select becomes a button with a menu that is searched, in either language.
function searched(select) {
  if (select.nextElementSibling?.classList.contains("picker")) return;
  const label = $(`label[for="${select.id}"]`), now = select.selectedOptions[0];
  const id = `${select.id}-menu`, text = now?.textContent.trim(), hint = select.dataset.search;
  const opener = make("button", "input picker", text, { type: "button", id: `${select.id}-opener`, popovertarget: id, "aria-label": `${label.textContent.trim()}: ${text}` });
  const menu = make("div", "menu start pick", null, { id, popover: "auto" });
  const finder = make("label", "finder"), wish = make("input", "", null, { placeholder: hint, "aria-label": hint });
  finder.append(wish);
  const options = [...select.options].map((option) => {
    const node = button("", option.textContent.trim(), () => {
      menu.hidePopover();
      if (select.value === option.value) return;
      select.value = option.value;
      select.dispatchEvent(new Event("change", { bubbles: true }));
    });
    if (option.selected) node.setAttribute("aria-current", "true");
    node.dataset.words = `${option.textContent} ${option.dataset.also}`.toLowerCase();
    return node;
  });
  wish.addEventListener("input", (e) => {
    e.stopPropagation();
    options.forEach((o) => { o.hidden = !o.dataset.words.includes(wish.value.trim().toLowerCase()); });
  });
  wish.addEventListener("keydown", (e) => {
    if (e.key !== "Enter") return;
    e.preventDefault();
    options.find((o) => !o.hidden)?.click();
  });
  menu.addEventListener("toggle", (e) => { if (e.newState === "open") { $("[aria-current]", menu)?.scrollIntoView({ block: "center" }); wish.focus(); } });
  menu.append(finder, ...options);
  label.htmlFor = opener.id;
  select.hidden = true;
  select.after(opener, menu);
}

// Sections
on("click", ".contents a", (e, link) => {
  e.preventDefault();
  $$("a", link.parentNode).forEach((a) => a.toggleAttribute("aria-current", a === link));
  document.getElementById(link.hash.slice(1))?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
});
document.addEventListener("scroll", (e) => {
  const body = e.target;
  if (!body.matches?.(".sheet > .inside")) return;
  const parts = $$(".part[id]", body), links = $$(".contents a", body.parentNode);
  const now = parts.findLast((p) => p.getBoundingClientRect().top - body.getBoundingClientRect().top < 80) ?? parts[0];
  links.forEach((a) => a.toggleAttribute("aria-current", a.hash === `#${now?.id}`));
}, true);

// Far down in the form, and mostly empty.
const near = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) import("./pairs.js").then((m) => m.paired(target));
}, { rootMargin: "80px" });

export function enhance() {
  $$("select[data-search]").forEach(searched);
  $$("textarea[data-mapping]").forEach((area) => { near.unobserve(area); near.observe(area); }); // it tells anew of a form that came back
}
