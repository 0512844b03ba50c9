// The default theme with the fonts of the reader's machine: a page loads nothing but the site itself.
import DefaultTheme from "vitepress/theme-without-fonts";
import "./style.css";

export default DefaultTheme;
