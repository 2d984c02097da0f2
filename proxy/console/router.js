// Where the reader is: `#live?ministry=culture&verdict=deny`. The address alone brings somebody else to the same place.

export const VIEWS = ["live", "day", "derogations", "policy", "explain"];

/** What the address names: a view and its parameters. */
export function place() {
  const [name, query = ""] = location.hash.slice(1).split("?", 2);
  return { view: VIEWS.includes(name) ? name : VIEWS[0], parameters: new URLSearchParams(query) };
}

/** Parameters as a query; one with several values is written as often, one without value is left out. */
export function query(parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** The address of a place. */
export function to(view, parameters) {
  return `#${view}${query(parameters)}`;
}

/** Writes the place into the address without a step in the history and without going anywhere. */
export function note(view, parameters) {
  history.replaceState(null, "", to(view, parameters));
}

/** Calls `listener` each time that the reader goes somewhere. */
export function whenMoved(listener) {
  addEventListener("hashchange", () => listener(place()));
}
