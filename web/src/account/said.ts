import { Problem, wordsOf } from "../api/problem";

/** Why a form was refused: what its field is, or else the answer's own words. */
export function said(error: unknown): string {
  const field = error instanceof Problem ? Object.values(error.fields)[0] : undefined;
  return field ? `This ${field}.` : wordsOf(error);
}
