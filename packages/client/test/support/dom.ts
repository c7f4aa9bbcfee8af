import type { TestContext } from 'node:test'
import { type HTMLElement, Window } from 'happy-dom'
import type { ReactElement } from 'react'

/** Something of React on a page that exists in memory. */
export type Page = {
  /** @throws if there is no such element */
  element(selector: string): HTMLElement
  click(selector: string): void
  show(element: ReactElement): void
  /** Resolves once an element matches; it is looked for after each change of the page. */
  appears(selector: string): Promise<HTMLElement>
  /** The same for an element with this text. */
  shows(selector: string, text: string): Promise<HTMLElement>
  leave(): void
}

/** Shows an element; the page is left when the test ends. */
export async function openPage(t: TestContext, element: ReactElement): Promise<Page> {
  const window = new Window()
  Object.assign(globalThis, { window, document: window.document })
  // React looks for the page as it is loaded.
  const { createRoot } = await import('react-dom/client')
  const container = window.document.createElement('div')
  window.document.body.append(container)
  const root = createRoot(container as never)
  let open = true
  const find = (selector: string) => container.querySelector(selector) as HTMLElement | null

  function whenFound(search: () => HTMLElement | null): Promise<HTMLElement> {
    return new Promise((resolve) => {
      const look = () => {
        const found = search()
        if (!found) return
        observer.disconnect()
        resolve(found)
      }
      const observer = new window.MutationObserver(look)
      observer.observe(container, { subtree: true, childList: true, attributes: true, characterData: true })
      look()
    })
  }

  const page: Page = {
    element(selector) {
      const found = find(selector)
      if (!found) throw new Error(`no ${selector} in ${container.innerHTML}`)
      return found
    },
    click: (selector) => page.element(selector).click(),
    show: (shown) => root.render(shown),
    appears: (selector) => whenFound(() => find(selector)),
    shows(selector, text) {
      return whenFound(() => {
        const found = find(selector)
        return found?.textContent === text ? found : null
      })
    },
    leave() {
      if (open) root.unmount()
      open = false
    },
  }
  page.show(element)
  t.after(async () => {
    page.leave()
    await window.happyDOM.close()
  })
  return page
}
