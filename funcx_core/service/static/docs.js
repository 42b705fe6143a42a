// Shows openapi.json: every operation by what it is about, and every body.
const byId = (id) => document.getElementById(id);

function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, options);
  made.append(...children);
  return made;
}

const nameOf = (reference) => reference.split("/").pop();

/** A schema in few words, with links to the bodies that it names. */
function words(schema = {}) {
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [element("a", { href: `#schema-${name}` }, element("code", {}, name))];
  }
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.flatMap((each, index) => (index ? [" or ", ...words(each)] : words(each)));
  if (schema.type === "array") return ["list of ", ...(schema.items ? words(schema.items) : ["anything"])];
  if (schema.enum) return [schema.enum.map((each) => JSON.stringify(each)).join(", ")];
  const limits = [["minimum", "≥"], ["maximum", "≤"], ["maxLength", "length ≤"]].filter(([key]) => key in schema).map(([key, sign]) => ` ${sign} ${schema[key]}`);
  const usual = "default" in schema ? ` (default ${JSON.stringify(schema.default)})` : "";
  return [`${schema.type ?? "anything"}${limits.join(",")}${usual}`];
}

function table(rows) {
  const head = element("tr", {}, ...["Name", "Type", ""].map((title) => element("th", { scope: "col" }, title)));
  const body = rows.map(([name, schema, note]) =>
    element("tr", {}, element("td", {}, element("code", {}, name)), element("td", { className: "text" }, ...words(schema)), element("td", { className: "text" }, note)));
  const made = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Fields" }, made);
}

function content(found = {}) {
  const [kind, { schema } = {}] = Object.entries(found)[0] ?? [];
  return kind ? [`${kind}, `, ...words(schema)] : ["nothing"];
}

function operation(path, method, found) {
  const scope = found["x-scope"] ? `scope ${found["x-scope"]}` : found.security?.length ? "token" : "no token";
  const summary = element("summary", {},
    element("span", { className: `method ${method}` }, method.toUpperCase()), element("code", {}, path),
    element("span", {}, found.summary ?? ""), element("span", { className: "quiet" }, scope));
  const made = element("details", { id: found.operationId }, summary);
  if (found.description) made.append(element("p", {}, found.description));
  if (found.parameters?.length) {
    made.append(element("h3", {}, "Parameters"), table(found.parameters.map((each) => [each.name, each.schema, `${each.in}${each.required ? ", required" : ""}`])));
  }
  if (found.requestBody) made.append(element("p", {}, "Body: ", ...content(found.requestBody.content)));
  for (const [status, answer] of Object.entries(found.responses ?? {})) {
    if (!answer.$ref) made.append(element("p", {}, `${status}: `, ...content(answer.content)));
  }
  made.dataset.text = `${method} ${path} ${found.summary ?? ""}`.toLowerCase();
  return made;
}

function show(document_) {
  byId("version").textContent = `version ${document_.info.version}`;
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, found] of Object.entries(methods)) {
      const tag = found.tags?.[0] ?? "service";
      groups.set(tag, [...(groups.get(tag) ?? []), operation(path, method, found)]);
    }
  }
  for (const [tag, operations] of groups) {
    byId("operations").append(element("section", {}, element("h2", {}, tag), ...operations));
  }
  for (const [name, schema] of Object.entries(document_.components.schemas)) {
    const made = element("details", { id: `schema-${name}` }, element("summary", {}, element("code", {}, name), element("span", { className: "quiet" }, (schema.description ?? "").split("\n")[0])));
    const required = new Set(schema.required ?? []);
    made.append(table(Object.entries(schema.properties ?? {}).map(([field, kind]) => [field, kind, required.has(field) ? "required" : ""])));
    byId("schemas").append(made);
  }
  openNamed();
}

function openNamed() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

byId("filter").addEventListener("input", () => {
  const wanted = byId("filter").value.toLowerCase();
  for (const section of byId("operations").children) {
    let any = false;
    for (const each of section.querySelectorAll("details")) {
      each.hidden = !each.dataset.text.includes(wanted);
      any ||= !each.hidden;
    }
    section.hidden = !any;
  }
});
addEventListener("hashchange", openNamed);
show(await (await fetch("/openapi.json")).json());
