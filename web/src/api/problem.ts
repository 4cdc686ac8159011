// What the API says when it refuses: RFC 9457, problem details.

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly slug: string,
    /** For its reader. */
    readonly words: string,
    readonly fields: Readonly<Record<string, string>> = {},
    readonly retryAfter = 0,
  ) {
    super(words);
  }
}

/** What went wrong, for its reader. */
export function wordsOf(error: unknown): string {
  return error instanceof Problem ? error.words : "Something unforeseen happened.";
}

/** After `failures` so far: no answer, or one that asks to come again. */
export function isWorthAnother(failures: number, error: unknown): boolean {
  return error instanceof Problem && [0, 429, 503].includes(error.status) && failures < 4;
}

interface Document {
  type?: string;
  title?: string;
  detail?: string;
  errors?: { pointer: string; message: string }[];
}

export async function problemOf(answer: Response): Promise<Problem> {
  const content = (await answer.json().catch(() => ({}))) as Document;
  return made(answer, content);
}

export function made(answer: Response, content: Document): Problem {
  const errors = Array.isArray(content.errors) ? content.errors : [];
  const fields = Object.fromEntries(errors.map((one) => [one.pointer.slice(1), one.message]));
  const first = errors[0] ? `${errors[0].pointer.slice(1)} ${errors[0].message}` : "";
  const words = content.detail || first || content.title || `The server answered ${answer.status}.`;
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  return new Problem(answer.status, slugOf(content.type), words, fields, wait);
}

function slugOf(type: string | undefined): string {
  return type?.split("/").at(-1) ?? "";
}
