// What the gate is asked. One place, so that a session that ends is noticed wherever it is noticed first.

import { query } from "./router.js";

const ROOT = "/api/v1/";
const DEADLINE = 30_000;

/** An answer that is no success: its status, what it says to a person, and which field it is about. */
export class Refusal extends Error {
  constructor(status, { detail, title, param } = {}) {
    super(detail ?? title ?? String(status));
    this.status = status;
    this.detail = detail ?? title ?? "";
    this.param = param ?? null;
  }
}

let told = () => {};

/** Calls `listener` whenever an answer says that whoever asks has to sign in. */
export function whenClosed(listener) {
  told = listener;
}

/** The address of a part of the API. */
export function address(path, parameters) {
  return `${ROOT}${path}${query(parameters)}`;
}

export async function get(path, parameters) {
  const answer = await ask(address(path, parameters), {});
  return answer.json();
}

export function session() {
  return get("session");
}

/** Throws a [`Refusal`] when the token is wrong. */
export async function signIn(token) {
  await ask(address("session"), { method: "POST", body: token, headers: { "Content-Type": "text/plain" } }, true);
}

export async function signOut() {
  await ask(address("session"), { method: "DELETE" });
}

async function ask(url, options, isSignIn = false) {
  const signal = AbortSignal.timeout(DEADLINE);
  const answer = await fetch(url, { cache: "no-store", credentials: "same-origin", signal, ...options });
  if (answer.ok) return answer;
  if (!isSignIn && (answer.status === 401 || answer.status === 403)) told();
  throw new Refusal(answer.status, await problem(answer));
}

async function problem(answer) {
  try {
    return await answer.json();
  } catch {
    return {};
  }
}
