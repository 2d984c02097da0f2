// Who may look: a form where the gate wants a token, an explanation where it wants a certificate.

import { Refusal, session, signIn, signOut } from "./api.js";
import { byId } from "./dom.js";
import { say } from "./language.js";

let needs = "nothing";
let error = null; // the key of what to say
let isOpen = false;
let opened = () => {};

/** Calls `listener` each time that the console opens to the reader. */
export function begin(listener) {
  opened = listener;
  byId("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    enter();
  });
  byId("sign-out").addEventListener("click", leave);
}

/** Asks how things stand; whether the console is open. */
export async function look() {
  try {
    ({ needs, open: isOpen } = await session());
    error = null;
  } catch (failure) {
    isOpen = false;
    error = failure instanceof Refusal ? "session.refused" : "session.unreachable";
  }
  write();
  return isOpen;
}

/** Why the console is shut, as the key of a title. */
export function title() {
  if (error && needs === "nothing") return "session.shut";
  return needs === "certificate" ? "session.certificateTitle" : "session.title";
}

export function write() {
  const wantsToken = needs === "token" && !isOpen;
  byId("sign-in-form").hidden = !wantsToken;
  byId("certificate").hidden = isOpen || needs !== "certificate";
  byId("sign-out").hidden = needs !== "token" || !isOpen;
  const told = byId("sign-in-error");
  told.hidden = !error;
  told.textContent = error ? say(error) : "";
  byId("token").toggleAttribute("aria-invalid", error === "session.wrong");
  if (error === "session.wrong") byId("token").setAttribute("aria-invalid", "true");
}

async function enter() {
  const token = byId("token");
  try {
    await signIn(token.value);
    token.value = "";
    if (await look()) opened();
  } catch (failure) {
    error = failure instanceof Refusal ? "session.wrong" : "session.unreachable";
    write();
    token.select();
    token.focus();
  }
}

async function leave() {
  await signOut().catch(() => {});
  location.reload();
}
