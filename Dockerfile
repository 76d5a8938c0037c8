# One image for all of Rejoinder's programs. Without a command it is the API; `dist/bin/worker.js`, `dist/bin/migrate.js` and
# `dist/bin/token.js` are the others. `npm run dev -- image` does what is written here without a container engine, and tries what comes out of it.

FROM node:24.11.1-bookworm-slim AS build
WORKDIR /src
# What seldom changes comes first: packages are installed anew only when their list is another.
COPY package.json package-lock.json ./
COPY libs/client/package.json libs/client/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run --silent build
# Of Swagger UI, what is for debugging it or for bundling it again: ten of its twelve megabytes.
RUN find node_modules/swagger-ui-dist \( -name "*.map" -o -name "*es-bundle*" \) -delete

FROM node:24.11.1-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
# All there is at run time. The programs bring their libraries with them; what they read from files is listed here, and nowhere else.
COPY --from=build /src/package.json /src/openapi.yaml /src/assistants.yaml ./
COPY --from=build /src/dist/bin/ dist/bin/
COPY --from=build /src/dist/apps/playground/ dist/apps/playground/
COPY --from=build /src/dist/client/ dist/client/
COPY --from=build /src/node_modules/swagger-ui-dist/ node_modules/swagger-ui-dist/
# The image's user `node`, by number: Kubernetes must see that it is not root. It owns nothing below /app.
USER 1000:1000
# The API; health and metrics of a worker; metrics of the API.
EXPOSE 3000 3001 3002
# Node is process 1 and takes the signals itself: no shell and no npm in between.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node"]
CMD ["dist/bin/api.js"]
