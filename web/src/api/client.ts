// The API, typed by its own description (schema.d.ts is made from docs/openapi.json).

import createClient from "openapi-fetch";

import { authorized } from "../session/session";
import { made, Problem } from "./problem";
import type { components, paths } from "./schema";

export const api = createClient<paths>({
  baseUrl: typeof location === "undefined" ? "http://localhost" : location.origin,
  fetch: authorized,
  querySerializer: { array: { style: "form", explode: true } },
});

type Schemas = components["schemas"];
export type Task = Schemas["TaskView"];
export type TaskWithMedia = Schemas["TaskWithMedia"];
export type Picture = Schemas["Picture"];
export type Medium = Schemas["MediaView"];
export type MediumDetail = Schemas["MediaDetail"];
export type Session = Schemas["SessionView"];
export type Provider = Schemas["ProviderView"];
export type SignInStart = Schemas["SignInStart"];
export type Identity = Schemas["IdentityView"];
export type WaysIn = Schemas["WaysIn"];
export type UploadRequest = Schemas["UploadRequest"];
export type User = Schemas["UserView"];

/** A medium that is neither ready nor rejected yet. */
export function isComing({ state }: { state: string }): boolean {
  return state === "pending" || state === "scanning";
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a good answer; throws Problem for any other. */
export async function body<T>(asked: Promise<Answer<T>>): Promise<T> {
  return (await whole(asked)).data;
}

/** With its entity tag, for a later If-Match. */
export async function tagged<T>(asked: Promise<Answer<T>>): Promise<{ data: T; etag: string | null }> {
  const { data, response } = await whole(asked);
  return { data, etag: response.headers.get("ETag") };
}

async function whole<T>(asked: Promise<Answer<T>>): Promise<{ data: T; response: Response }> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (error) {
    if (error instanceof Problem || (error instanceof DOMException && error.name === "AbortError")) {
      throw error;
    }
    throw new Problem(0, "no-answer", "The server cannot be reached.");
  }
  const { data, error, response } = answer;
  if (!response.ok) throw made(response, (error ?? {}));
  return { data: data as T, response };
}
