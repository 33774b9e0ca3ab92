import { DestroyRef, ElementRef, inject, type Signal, signal } from '@angular/core';

/** The width of the component that asks, in pixels, as it changes; `first` until it is laid out. */
export function hostWidth(first: number): Signal<number> {
  const host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  const width = signal(first);
  const observer = new ResizeObserver(() => width.set(Math.max(host.clientWidth, 1)));
  observer.observe(host);
  inject(DestroyRef).onDestroy(() => observer.disconnect());
  return width.asReadonly();
}
