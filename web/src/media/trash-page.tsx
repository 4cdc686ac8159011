import { useQueryClient } from "@tanstack/react-query";

import { ask } from "../ui/ask";
import { Failed, Waiting } from "../ui/failed";
import { useTitle } from "../ui/title";
import { More } from "./gallery-page";
import styles from "./media.module.css";
import { bytes, erase, restore, useMedia, useUsage } from "./queries";

export default function TrashPage() {
  useTitle("Trash");
  const client = useQueryClient();
  const media = useMedia({ state: "trashed" });
  const usage = useUsage().data;
  const items = media.data?.pages.flatMap((page) => page.items) ?? [];
  const gone = async (id: string, name: string) => {
    if (await ask(`Erase “${name}” for good?`, "Nobody can bring it back.", "Erase")) await erase(client, id);
  };
  return (
    <>
      <h1>Trash</h1>
      <p className="small">
        What lies here is erased after 30 days, and takes room until then{usage ? `: ${bytes(usage.inTrash)}` : ""}.
      </p>
      {media.isError ? <Failed error={media.error} again={() => void (media.data ? media.fetchNextPage() : media.refetch())} /> : null}
      {media.isPending && !media.isError ? <Waiting failures={media.failureCount} /> : null}
      {media.isSuccess && items.length === 0 ? <p className={styles.hint}>The trash is empty.</p> : null}
      <ul className={styles.trash}>
        {items.map((medium) => (
          <li key={medium.id}>
            <span className={styles.grow}>{medium.fileName}</span>
            <span className="small">
              {bytes(medium.size)}
              {medium.eraseAt ? ` · until ${new Date(medium.eraseAt).toLocaleDateString()}` : ""}
              {medium.taskCount ? ` · on ${medium.taskCount} ${medium.taskCount === 1 ? "task" : "tasks"}` : ""}
            </span>
            <button type="button" className="quiet" aria-label={`Restore ${medium.fileName}`} onClick={() => void restore(client, [medium.id])}>Restore</button>
            <button type="button" className="quiet bad" aria-label={`Erase ${medium.fileName}`} onClick={() => void gone(medium.id, medium.fileName)}>Erase</button>
          </li>
        ))}
      </ul>
      <More more={media.hasNextPage && !media.isFetchingNextPage && !media.isError} load={() => void media.fetchNextPage()} />
    </>
  );
}
