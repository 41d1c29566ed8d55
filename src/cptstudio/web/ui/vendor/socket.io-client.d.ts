export * from "socket.io-client";
export { default } from "socket.io-client";
