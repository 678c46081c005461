const dialog = document.querySelector("dialog");
const large = dialog.querySelector("img");
document.querySelectorAll("figure button").forEach((button) => button.addEventListener("click", () => {
  const image = button.querySelector("img");
  large.src = image.src;
  large.alt = image.alt;
  dialog.classList.add("fit");
  dialog.showModal();
}));
large.addEventListener("click", () => dialog.classList.toggle("fit"));
dialog.querySelector("button").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => large.removeAttribute("src"));
