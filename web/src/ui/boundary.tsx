// What is left of a page that fell: why, and another try. Mostly it could not be loaded, because
// the line broke, or because a newer app stands at the server since this one was opened.

import { Component, type ReactNode } from "react";

import { Problem } from "../api/problem";
import { Failed } from "./failed";

interface Props {
  /** Another place is another chance. */
  place: string;
  children: ReactNode;
}

interface State {
  place: string;
  hasFallen: boolean;
}

const FALLEN = new Problem(0, "fallen", "This page could not be loaded.");

export class Boundary extends Component<Props, State> {
  override state: State = { place: this.props.place, hasFallen: false };

  static getDerivedStateFromError(): Partial<State> {
    return { hasFallen: true };
  }

  static getDerivedStateFromProps({ place }: Props, before: State): State | null {
    return place === before.place ? null : { place, hasFallen: false };
  }

  override render(): ReactNode {
    if (!this.state.hasFallen) return this.props.children;
    // React asks no second time for what it could not load; a page loaded anew does.
    return <Failed error={FALLEN} again={() => location.reload()} />;
  }
}
