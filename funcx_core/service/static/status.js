// The status page: signs in, asks for one overview a second while it can be seen, and changes what has changed.
const TOKEN = "funcx-token";
const PERIOD = 1000;
const SLOWEST = 15000;
const SPOKEN_EVERY = 15000;
const WORDS = {
  "received": "waiting", "waiting-for-ep": "waiting for endpoint", "waiting-for-nodes": "waiting for nodes",
  "waiting-for-launch": "waiting for launch", "running": "running", "cancelling": "cancelling",
  "success": "done", "failed": "failed", "cancelled": "cancelled",
};
const LOOKS = { success: "good", failed: "bad", cancelled: "neutral", running: "run", cancelling: "bad" };
const byId = (id) => document.getElementById(id);

let timer = 0;
let failures = 0;
let spokenAt = 0;
let spoken = "";
let generation = 0;

// --- words ---------------------------------------------------------------------------------------------------

const number = (value) => value.toLocaleString("en");

function duration(ms) {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** In whole seconds, so that a row is the same for a second. */
function ago(thenMs, nowMs) {
  if (!thenMs) return "never";
  const seconds = Math.max(1, Math.round((nowMs - thenMs) / 1000));
  return seconds < 10 ? `${seconds} s ago` : `${duration(seconds * 1000)} ago`;
}


const look = (state) => LOOKS[state] ?? "queue";

// --- elements ------------------------------------------------------------------------------------------------

function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, options);
  made.append(...children);
  return made;
}

/** Make `parent` have one child for each item, in order; a child is made anew only if its item has changed. */
function fill(parent, items, key, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const content = JSON.stringify(item);
    let child = old.get(name);
    old.delete(name);
    if (!child || child.dataset.content !== content) {
      const made = make(item);
      made.dataset.key = name;
      made.dataset.content = content;
      if (child) {
        if (place === child) place = made;
        child.replaceWith(made);
      }
      child = made;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
}

const cell = (content, className = "") => element("td", { className }, content);
const idCell = (id) => cell(element("code", {}, id));

// --- what is shown -------------------------------------------------------------------------------------------

function countsOf(overview) {
  const { running = 0, cancelling = 0, ...waiting } = overview.open;
  const sum = Object.values(waiting).reduce((total, count) => total + count, 0);
  return [
    ["waiting", sum], ["running", running], ...(cancelling ? [["cancelling", cancelling]] : []),
    ["done", overview.ended.success], ["failed", overview.ended.failed], ["cancelled", overview.ended.cancelled],
  ];
}

function showCounts(counts) {
  fill(byId("counts"), counts, ([name]) => name, ([name, count]) => {
    const shown = element("dd", { id: `count-${name}` }, number(count));
    return element("div", {}, element("dt", {}, name), shown);
  });
}

function endpointRow(row) {
  const state = element("span", { className: `state ${row.online ? "good" : "neutral"}`, title: row.detail }, row.online ? "online" : "offline");
  const name = element("td", { title: `${row.endpoint_id} ${row.hostname}`.trim() }, row.name);
  return element("tr", {}, name, cell(state), cell(row.age, "number"), cell(row.workers, "number"), cell(row.waiting, "number"), cell(row.running, "number"));
}

function endpointItems(overview) {
  return overview.endpoints.map((each) => {
    const { running = 0, cancelling = 0, ...waiting } = each.open;
    const queue = Object.values(waiting).reduce((total, count) => total + count, 0);
    return {
      endpoint_id: each.endpoint_id, name: each.name, online: each.online, detail: each.detail, hostname: each.hostname,
      age: ago(each.last_seen * 1000, overview.service.now * 1000),
      workers: each.workers ? `${number(each.workers - each.idle_workers)} of ${number(each.workers)} busy` : "none",
      waiting: number(queue), running: number(running + cancelling),
    };
  });
}

/** Where a task's time went. Without a start it is all queue; clocks of two machines may disagree. */
function partsOf(times, nowMs) {
  const end = times.completed || nowMs;
  const started = times.started || (times.completed ? end : 0);
  const ended = times.ended || end;
  const parts = started ? { queue: started - times.received, run: ended - started, transfer: end - ended } : { queue: end - times.received };
  return Object.entries(parts).map(([name, ms]) => [name, Math.max(0, ms)]);
}

function timeline(item) {
  const total = item.parts.reduce((sum, [, ms]) => sum + ms, 0) || 1;
  const words = item.parts.map(([name, ms]) => `${name} ${duration(ms)}`).join(", ");
  const bar = element("span", { className: "bar", title: words, role: "img", ariaLabel: words });
  for (const [name, ms] of item.parts) {
    const part = element("i", { className: name });
    part.style.width = `${(100 * ms) / total}%`;
    if (ms > 0) bar.append(part);
  }
  return element("td", { className: "wide" }, element("span", { className: "line" }, bar, element("span", { className: "took" }, duration(total))));
}

function taskRow(item) {
  const tries = item.attempt > 1 ? ` (attempt ${item.attempt})` : "";
  const state = element("span", { className: `state ${look(item.state)}` }, (WORDS[item.state] ?? item.state) + tries);
  return element("tr", {}, cell(item.name), cell(state), cell(item.endpoint), cell(item.submitted, "number"), timeline(item), idCell(item.task_id));
}

function taskItems(overview) {
  const nowMs = overview.service.now * 1000;
  return overview.tasks.map((each) => ({
    task_id: each.task_id, state: each.state, attempt: each.attempt, name: each.function_name,
    endpoint: each.endpoint_name || each.endpoint_id.slice(-12), submitted: ago(each.times.received, nowMs), parts: partsOf(each.times, nowMs),
  }));
}

function functionItems(overview) {
  const nowMs = overview.service.now * 1000;
  return overview.functions.map((each) => ({ ...each, created_at: ago(each.created_at * 1000, nowMs) }));
}

const functionRow = (each) =>
  element("tr", {}, cell(each.name), cell(each.description, "text"), cell(each.created_at, "number"), idCell(each.function_id));

function speak(counts) {
  const text = counts.map(([name, count]) => `${number(count)} ${name}`).join(", ");
  if (text === spoken || Date.now() - spokenAt < SPOKEN_EVERY) return;
  spoken = text;
  spokenAt = Date.now();
  byId("spoken").textContent = `Tasks: ${text}.`;
}

function show(overview) {
  const counts = countsOf(overview);
  showCounts(counts);
  speak(counts);
  fill(byId("endpoints"), endpointItems(overview), (row) => row.endpoint_id, endpointRow);
  fill(byId("newest"), taskItems(overview), (row) => row.task_id, taskRow);
  fill(byId("functions"), functionItems(overview), (row) => row.function_id, functionRow);
  byId("no-endpoints").hidden = overview.endpoints.length > 0;
  byId("no-tasks").hidden = overview.tasks.length > 0;
  byId("who").textContent = `${overview.service.user}, version ${overview.service.version}`;
  byId("since").textContent = `Ended tasks are counted since the service started, ${ago(overview.service.started_at * 1000, overview.service.now * 1000)}.`;
  byId("overview").hidden = false;
  byId("problem").hidden = true;
}

// --- asking --------------------------------------------------------------------------------------------------

function complain(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

function signedOut(reason = "") {
  generation += 1;
  clearTimeout(timer);
  sessionStorage.removeItem(TOKEN);
  byId("overview").hidden = true;
  byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  byId("who").textContent = "";
  byId("token").focus();
  if (reason) complain(reason);
}

async function ask(mine) {
  const answer = await fetch("/v2/overview", { headers: { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}` } });
  if (mine !== generation) return;
  const body = await answer.json();
  if (answer.status === 401 || answer.status === 403) {
    signedOut(body.reason);
  } else if (!answer.ok) {
    throw new Error(body.reason);
  } else {
    failures = 0;
    show(body);
  }
}

async function turn(mine) {
  try {
    await ask(mine);
  } catch (error) {
    failures += 1;
    if (mine === generation) complain(`The service does not answer (${error.message}). Asking again.`);
  }
  if (mine === generation && !document.hidden) {
    timer = setTimeout(turn, Math.min(SLOWEST, PERIOD * 2 ** Math.min(failures, 4)), mine);
  }
}

function start() {
  generation += 1;
  clearTimeout(timer);
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = false;
  turn(generation);
}

async function exchange(code) {
  const answer = await fetch("/v2/login_codes/exchange", { method: "POST", body: JSON.stringify({ code }) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.reason);
  sessionStorage.setItem(TOKEN, body.token);
}

async function begin() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) {
    history.replaceState(null, "", location.pathname);
    try {
      await exchange(code);
    } catch (error) {
      signedOut(error.message);
      return;
    }
  }
  if (sessionStorage.getItem(TOKEN)) start();
  else signedOut();
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value.trim());
  byId("token").value = "";
  byId("problem").hidden = true;
  start();
  byId("main").focus();
});
byId("sign-out").addEventListener("click", () => signedOut());
document.addEventListener("visibilitychange", () => {
  if (sessionStorage.getItem(TOKEN)) {
    if (document.hidden) clearTimeout(timer);
    else start();
  }
});
addEventListener("hashchange", begin);
begin();
