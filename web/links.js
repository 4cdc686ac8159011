// The links in mails: a word and a token behind the #, which the browser sends to no server.

import { api } from "/api.js";

const send = (path, body) => api(`/auth/${path}`, { method: "POST", body });
const LINKS = {
  "verify-email": {
    title: "Confirm your address",
    label: "The password you signed up with",
    done: "Your address is confirmed.",
    act: (token, password) => send("verify-email", { token, password }),
  },
  "reset-password": {
    title: "Set a new password",
    label: "New password",
    done: "Your new password is set. Sign in with it.",
    act: (token, password) => send("password-reset/confirm", { token, password }),
  },
  "change-email": {
    title: "Use this address from now on",
    done: "Your account has this address now.",
    act: (token) => send("email/confirm", { token }),
  },
  "forgot-password": {
    title: "Forgot the password?",
    label: "Your e-mail address",
    type: "email",
    done: "If the address has an account, a mail is on its way.",
    act: (_, email) => send("password-reset", { email }),
  },
};

// Shows the form of the link that the page was opened by; `attempt` runs and tells what fails.
export function followLink(attempt, tell) {
  document.querySelector("#link")?.remove();
  const [word, token] = location.hash.slice(1).split("=", 2);
  const link = LINKS[word];
  if (!link) return;
  const form = document.querySelector("#link-form").content.firstElementChild.cloneNode(true);
  const [label, input] = [form.querySelector("label"), form.querySelector("input")];
  form.querySelector("h2").textContent = link.title;
  form.querySelector("span").textContent = link.label ?? "";
  label.hidden = input.disabled = !link.label;
  input.type = link.type ?? "password";
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(async () => {
      await link.act(token, input.value);
      form.remove();
      // The token is spent; nobody should find it in the history.
      history.replaceState(null, "", "/");
      tell(link.done);
    });
  };
  document.querySelector("#notice").after(form);
}
