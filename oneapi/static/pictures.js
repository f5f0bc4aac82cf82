// Pictures beside a message of the playground, loaded with the first one.
import { $, button, make } from "./app.js";

const PICTURES = 8, BIGGEST = 8 << 20; // how many at a time, and bytes of each

const read = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result);
  reader.onerror = failed;
  reader.readAsDataURL(file);
});

// Those of some files that fit are put beside what is being written.
export async function take(talk, files) {
  const found = files.filter((file) => file.type.startsWith("image/"));
  const fit = found.filter((file) => file.size <= BIGGEST).slice(0, PICTURES - talk.pictures.length);
  if (fit.length < found.length) dispatchEvent(new CustomEvent("toast", { detail: { kind: "bad", text: talk.words.toobig } }));
  talk.attach([...talk.pictures, ...(await Promise.all(fit.map(read)))]);
}

export function show(talk) {
  const box = $("[data-pictures]"), { pictures, words } = talk;
  box.replaceChildren(...list(words, pictures, (at) => talk.attach(pictures.filter((_p, i) => i !== at))).children);
  box.hidden = !pictures.length;
}

export function list(words, pictures, remove = null) {
  const box = make("ul", "pictures");
  pictures.forEach((url, at) => {
    const item = make("li"), name = words.picture.replace("{n}", at + 1);
    item.append(make("img", "", null, { src: url, alt: name }));
    if (remove) item.append(button("", "×", () => remove(at), { "aria-label": `${words.remove} ${name}` }));
    box.append(item);
  });
  return box;
}
