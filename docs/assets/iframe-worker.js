// Browsers start no Worker from a file. The search of a page that was opened as a file runs in a
// hidden frame instead, which takes and gives messages as a Worker does.
if (location.protocol === "file:") {
  const setup =
    "var importScripts = (...urls) => urls.reduce((done, url) => done.then(() => " +
    "new Promise((loaded, failed) => { const s = document.createElement('script'); s.src = url; " +
    "s.onload = loaded; s.onerror = failed; document.body.appendChild(s) })), Promise.resolve());" +
    "var postMessage = data => parent.postMessage(data, '*');"

  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.appendChild(this.frame)
      const page = this.frame.contentDocument
      page.open()
      page.write(
        `<body><script>${setup}</script><script src="${new URL(url, location)}"></script></body>`
      )
      page.close()
      this.ready = new Promise(loaded => this.frame.addEventListener("load", loaded))
      window.addEventListener("message", event => {
        if (event.source !== this.frame.contentWindow) return
        const message = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(message)
        if (this.onmessage) this.onmessage(message)
      })
    }

    postMessage(data) {
      this.ready.then(() => {
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
      })
    }

    terminate() {
      this.frame.remove()
    }
  }
}
