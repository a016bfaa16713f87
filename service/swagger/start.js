// A file of its own, so that the page's Content-Security-Policy can do without inline scripts.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // the default one sends the interface's description to swagger.io
});
