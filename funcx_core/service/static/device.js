// The page on which somebody who is signed in approves or denies a sign-in by a code.
const byId = (id) => document.getElementById(id);
const RIGHTS = {
  read: "see functions, endpoints, tasks and results", submit: "run functions",
  endpoints: "change endpoints", tokens: "make and revoke tokens",
};

let token = "";
let code = "";

function complain(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

async function ask(path, body) {
  const answer = await fetch(`/v2/device_codes/${path}`, {
    method: "POST", body: JSON.stringify(body), headers: { Authorization: `Bearer ${token}` },
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.reason);
  return told;
}

async function find() {
  const found = await ask("find", { user_code: code });
  byId("asked-code").textContent = code;
  byId("asked-label").textContent = found.label;
  byId("asked-address").textContent = found.address;
  byId("asked-scopes").textContent = found.scopes.map((each) => RIGHTS[each] ?? each).join(", ") || "nothing";
  byId("find").hidden = true;
  byId("asked").hidden = false;
  byId("asked-title").focus();
}

async function decide(approve) {
  const decided = await ask("decide", { user_code: code, approve });
  byId("asked").hidden = true;
  byId("done").textContent = decided.approved
    ? "Done. Go back to where the code was shown: it is signed in within seconds. You may close this page."
    : "Denied. Nobody was signed in.";
  byId("done").hidden = false;
  token = "";
}

/** Do it, with the buttons off meanwhile, and tell what went wrong. */
async function attempt(work) {
  complain("");
  const buttons = [...document.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    complain(error.message);
    byId("asked").hidden = true;
    byId("find").hidden = false;
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  code = byId("code").value.trim().toUpperCase();
  attempt(find);
});
byId("approve").addEventListener("click", () => attempt(() => decide(true)));
byId("deny").addEventListener("click", () => attempt(() => decide(false)));

const given = new URLSearchParams(location.hash.slice(1)).get("user_code");
if (given) {
  history.replaceState(null, "", location.pathname);
  byId("code").value = given;
}
byId(given ? "token" : "code").focus();
