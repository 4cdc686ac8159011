// Which page is shown, and to whom. Everything but the list of tasks is loaded when it is needed.

import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { Link, Route, Switch, useLocation } from "wouter";

import { api, body, type User } from "./api/client";
import { isWorthAnother, Problem } from "./api/problem";
import styles from "./app.module.css";
import { useKeys } from "./keys/keys";
import { Entrance } from "./session/entrance";
import { linkIn, LinkPage } from "./session/link";
import { begin } from "./session/provider";
import { logout, onSession, sessionState, watchOtherTabs } from "./session/session";
import { deleteNow } from "./tasks/deleting";
import { TasksPage } from "./tasks/tasks-page";
import { Boundary } from "./ui/boundary";
import { Notices, tell } from "./ui/notices";
import { useTitle } from "./ui/title";
import { clear, continueSaved, lay } from "./uploads/queue";
import { UploadTray } from "./uploads/tray";

const TaskPage = lazy(() => import("./tasks/task-page"));
const GalleryPage = lazy(() => import("./media/gallery-page"));
const TrashPage = lazy(() => import("./media/trash-page"));
const AccountPage = lazy(() => import("./account/account-page"));
const JoinPage = lazy(() => import("./tasks/join-page"));

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: isWorthAnother,
    },
  },
});

watchOtherTabs(() => location.reload());

export function App() {
  const state = useSyncExternalStore(onSession, sessionState);
  const [link, setLink] = useState(linkIn(location.hash));
  useEffect(() => {
    // A link that is opened in a tab of ours loads no page anew.
    const look = () => setLink(linkIn(location.hash));
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  const [isStuck, setStuck] = useState(false);
  const [said, setSaid] = useState("");
  const start = () => void begin().then(setSaid, () => setStuck(true));
  useEffect(start, []);
  useEffect(() => {
    if (!said || state !== "in") return;
    tell(said);
    // The page of the account may have asked before it was linked, and that answer still be coming:
    // one that is only made stale would count as the new one.
    void queries.resetQueries({ queryKey: ["ways"] });
  }, [said, state]);
  useEffect(() => {
    if (state !== "out") return;
    // Whoever signs in next sees nothing of who was here before.
    queries.clear();
    lay();
  }, [state]);
  return (
    <QueryClientProvider client={queries}>
      {link ? <LinkPage key={link.token} link={link} /> : state === "out" ? <Entrance key={said} said={said} /> : null}
      {!link && state === "in" ? <House /> : null}
      {!link && state === "unknown" && isStuck ? <Stuck again={() => { setStuck(false); start(); }} /> : null}
      <Notices />
    </QueryClientProvider>
  );
}

function Stuck({ again }: { again: () => void }) {
  return (
    <main className={styles.hint}>
      <p role="alert">The server cannot be reached.</p>
      <button type="button" onClick={again}>Try again</button>
    </main>
  );
}

export function useMe() {
  return useQuery({ queryKey: ["me"], queryFn: () => body(api.GET("/api/auth/me")), staleTime: 60_000 });
}

function House() {
  useKeys();
  const [place] = useLocation();
  const me = useMe();
  useEffect(() => {
    if (me.data) void continueSaved(me.data.id);
  }, [me.data]);
  return (
    <div className={styles.house}>
      <a className={styles.skip} href="#content">Skip to the content</a>
      <Top me={me.data} />
      <main id="content" tabIndex={-1} className={styles.content}>
        <Boundary place={place}>
          <Suspense fallback={<p className={styles.hint}>Loading…</p>}>
            <Switch>
              <Route path="/" component={TasksPage} />
              <Route path="/tasks/:id">{({ id }) => <TaskPage key={id} id={id} />}</Route>
              <Route path="/join/:token">{({ token }) => <JoinPage token={token} />}</Route>
              <Route path="/media/:id?">{({ id }) => <GalleryPage open={id} />}</Route>
              <Route path="/trash" component={TrashPage} />
              <Route path="/account" component={AccountPage} />
              <Route component={NoPage} />
            </Switch>
          </Suspense>
        </Boundary>
      </main>
      <UploadTray />
    </div>
  );
}

function NoPage() {
  useTitle("No such page");
  return <p className={styles.hint}>There is no such page. <Link href="/">To the tasks</Link></p>;
}

const PLACES = [["/", "Tasks"], ["/media", "Pictures"], ["/trash", "Trash"], ["/account", "Account"]] as const;

function Top({ me }: { me: User | undefined }) {
  const [path] = useLocation();
  return (
    <header className={styles.top}>
      <Link href="/" className={styles.brand}><img src="/icon.svg" alt="" width="24" height="24" />Snaptask</Link>
      <nav aria-label="Places">
        {PLACES.map(([href, name]) => (
          <Link key={href} href={href} aria-current={isAt(path, href) ? "page" : undefined}>{name}</Link>
        ))}
      </nav>
      <span className={styles.who} title={me?.email}>{me?.name || me?.email}</span>
      <button type="button" className="quiet" onClick={() => void leave()}>Sign out</button>
    </header>
  );
}

function isAt(path: string, href: string): boolean {
  return href === "/" ? path === "/" || path.startsWith("/tasks") : path.startsWith(href);
}

export async function leave(everywhere = false): Promise<void> {
  try {
    await deleteNow();
    await logout(everywhere);
  } catch (error) {
    tell(error instanceof Problem ? error.words : "You are still signed in: the server cannot be reached.");
    return;
  }
  await clear();
}
