// What is near enough to what a person sees to be worth its place in the page.

import { type RefObject, useEffect, useRef, useState } from "react";

/** Pixels above and below the window: more than one turn of a wheel or one throw of a finger. */
const NEAR = 1500;

/** Whether the element is near, and how high it last was when it was; `width` is that of its
 * content. What has the focus is near wherever it is. */
export function useNear(width: number): [RefObject<HTMLElement | null>, boolean, number] {
  const place = useRef<HTMLElement | null>(null);
  const [isNear, setNear] = useState(true);
  const [size, setSize] = useState({ width, height: 0 });
  useEffect(() => {
    const element = place.current!;
    let isSeen = true;
    const decide = () => {
      const stays = isSeen || element.contains(document.activeElement);
      if (!stays) setSize({ width: element.clientWidth, height: element.offsetHeight });
      setNear(stays);
    };
    const observer = new IntersectionObserver((entries) => {
      isSeen = entries.at(-1)!.isIntersecting;
      decide();
    }, { rootMargin: `${NEAR}px 0px` });
    observer.observe(element);
    // When it is told, the focus has not arrived anywhere yet.
    const left = () => requestAnimationFrame(decide);
    element.addEventListener("focusout", left);
    return () => {
      observer.disconnect();
      element.removeEventListener("focusout", left);
    };
  }, []);
  // Rows of one height take the more room the narrower they are.
  return [place, isNear, (size.height * size.width) / Math.max(1, width)];
}

/** The inner width of an element, known before anything is shown in it. */
export function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const place = useRef<HTMLDivElement | null>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  return [place, width];
}
