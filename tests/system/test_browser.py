def test_the_browser_shows_a_page_and_runs_its_script(browser):
    page = browser.new_page()
    page.set_content("<h1>오늘의 논문</h1><script>document.title = document.querySelector('h1').textContent</script>")

    assert page.title() == "오늘의 논문"
    page.close()
