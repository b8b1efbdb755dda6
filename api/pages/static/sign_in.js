// Signs in with the key that follows # in the address, or with the one in the field. It is sent once, in a header.

const form = document.querySelector("#sign-in");
const error = form.querySelector(".error");

async function signIn(key) {
  error.hidden = true;
  let answer;
  try {
    answer = await fetch("/sign-in", { method: "POST", headers: { Authorization: `Bearer ${key}` } });
  } catch {
    return show(error.dataset.failed);
  }
  if (!answer.ok) return show(answer.status === 401 ? error.dataset.refused : error.dataset.failed);
  const { home } = await answer.json();
  location.replace(form.dataset.next || home);
}

function show(text) {
  error.textContent = text;
  error.hidden = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = new FormData(form).get("key").trim();
  if (/^[\x21-\x7e]+$/.test(key)) signIn(key);
  else show(error.dataset.refused);
});

// A link takes nobody's session away unasked: whoever sent it could be anybody.
function follow() {
  const given = location.hash.slice(1);
  if (!given) return;
  history.replaceState(null, "", location.pathname + location.search); // no copy stays in the address
  if (!/^[\x21-\x7e]+$/.test(given)) return;
  if (!form.dataset.session) return signIn(given);
  form.elements.key.value = given;
  form.querySelector("[data-other]").hidden = false;
  form.querySelector("button").focus();
}

// Opened where this page is shown already, a link changes only what follows #, and loads nothing.
addEventListener("hashchange", follow);
follow();
