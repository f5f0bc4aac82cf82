// Figures that follow one another: ratios and dollars, a balance and what becomes of it; switches that ask.
import { $, $$, on } from "./app.js";

// Ratios and dollars of one model: either is typed, the other follows, and all follow the input ratio.
const shown = (number) => (Number.isFinite(number) ? String(+number.toPrecision(8)) : "");
function priced(form, typed = null) {
  const per = Number(form.dataset.prices), field = (name) => form.elements[name];
  const worth = (name) => Number(field(name).value || field(name).placeholder || NaN);
  const base = (name) => (name === "model_ratio" ? per : per * worth("model_ratio"));
  const name = typed?.dataset.dollars;
  if (name) field(name).value = typed.value.trim() === "" ? "" : shown(Number(typed.value) / base(name));
  for (const money of $$("[data-dollars]", form)) {
    const ratio = field(money.dataset.dollars), value = base(money.dataset.dollars) * worth(money.dataset.dollars);
    money.placeholder = ratio.value ? "" : shown(value);
    if (money !== typed) money.value = ratio.value ? shown(value) : "";
  }
}
on("input", "form[data-prices] input", (e, field) => priced(field.form, field));

// What a change of a balance would make of it
function previewed(form) {
  const now = Number(form.dataset.balance), by = Number(form.elements.quota.value || NaN);
  const after = { add: now + by, subtract: Math.max(0, now - by), set: by }[form.elements.how.value];
  const money = (quota) => `$${(quota / form.dataset.unit).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;
  const note = $("[data-after]", form);
  note.hidden = !Number.isFinite(after);
  note.textContent = note.dataset.after.replace("{a}", money(now)).replace("{b}", money(after));
}
on("input", "form[data-balance] input", (e, field) => previewed(field.form));
// A dangerous switch asks when it is off as the form is sent.
on("change", "[data-dangerous]", (e, field) => {
  if (field.checked) delete field.form.dataset.confirm;
  else field.form.dataset.confirm = field.dataset.dangerous;
});

export function enhance() {
  $$("form[data-prices]").forEach((form) => priced(form));
  $$("form[data-balance]").forEach(previewed); // who types fast was quicker than this file
}
